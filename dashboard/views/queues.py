"""Queues: ours and every other RQ queue on this Redis (?queue=NAME&registry=NAME&rq=ID), and what may be done there.

One page in three depths: all queues, the jobs of one registry of a queue, one RQ job. Jobs of other programs are
shown as text and never decoded.
"""

from __future__ import annotations

import streamlit as st

from dashboard.acting import actions
from dashboard.cards import foreign_job, foreign_queue, queue_list

actions.told()
rq_id = st.query_params.get("rq", "").strip()
name = st.query_params.get("queue", "")
if rq_id:
    foreign_job.show(rq_id, name)
elif name:
    foreign_queue.show(name)
else:
    queue_list.show()
