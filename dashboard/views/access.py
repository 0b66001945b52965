"""Access: who I am and what I may do, my tokens, and for administrators the tokens and roles of all."""

from __future__ import annotations

import streamlit as st

from dashboard import connection, outage
from dashboard.acting import actions
from dashboard.cards import roles_card, tokens_card
from dashboard.drawing import access_markup

st.title("Access")
outage.banner_if_down()
actions.told()
person = connection.redis().person
st.html(access_markup.you(person, connection.redis().settings.auth))
st.html(access_markup.rights(person.role))
tokens_card.card()
roles_card.card()
tokens_card.open_question()
roles_card.open_question()
