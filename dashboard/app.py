"""The router: page configuration, style, navigation, the name in the sidebar, and the banner while Redis is away."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import browser_side, connection, markup, outage, pace
from dashboard.cards import roles_card, sign_in
from dashboard.gate import who
from tasks.errors import IngestboardError
from tasks.ledger import origin

HERE = Path(__file__).parent
ABOUT = "Ingestboard: a live control board for document ingestion, shared by a team."

# The icons are files of ours: Streamlit would fetch an emoji or a Material icon for the tab from the internet.
st.set_page_config(
    page_title="Ingestboard", page_icon=str(HERE / "mark.svg"), layout="wide", menu_items={"about": ABOUT}
)
st.html(markup.STYLE)
browser_side.start()
origin.ask(who.where)

settings = connection.using()
someone = who.person(settings)
page = st.navigation(
    [
        st.Page("views/board.py", title="Board", icon=":material/view_list:", url_path="board", default=True),
        st.Page("views/documents.py", title="Documents", icon=":material/upload_file:", url_path="documents"),
        st.Page("views/collections.py", title="Collections", icon=":material/database:", url_path="collections"),
        st.Page("views/workers.py", title="Workers", icon=":material/memory:", url_path="workers"),
        st.Page("views/queues.py", title="Queues", icon=":material/stacks:", url_path="queues"),
        st.Page("views/history.py", title="History", icon=":material/monitoring:", url_path="history"),
        st.Page("views/activity.py", title="Activity", icon=":material/manage_history:", url_path="activity"),
        st.Page("views/access.py", title="Access", icon=":material/key:", url_path="access"),
        st.Page("views/job.py", title="Job", icon=":material/task:", url_path="job", visibility="hidden"),
    ],
    position="sidebar" if someone.role else "hidden",
)

if someone.role:
    st.logo(str(HERE / "wordmark.svg"), icon_image=str(HERE / "mark.svg"), size="large")
    pace.seated(someone)
    with st.sidebar:
        who.ask(settings)
    try:
        roles_card.warn()
        page.run()
    except outage.AWAY as error:
        outage.banner(error)
    except IngestboardError as error:
        st.error(markup.literal(error), icon=":material/error:")
else:
    sign_in.page(settings, someone)
