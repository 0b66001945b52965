"""The router: page configuration, style, navigation, the name in the sidebar, and the banner while Redis is away."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import connection, markup, outage, who
from tasks.errors import IngestboardError

HERE = Path(__file__).parent
ABOUT = "Ingestboard: a live control board for document ingestion, shared by a team."

# The icons are files of ours: Streamlit would fetch an emoji or a Material icon for the tab from the internet.
st.set_page_config(
    page_title="Ingestboard", page_icon=str(HERE / "mark.svg"), layout="wide", menu_items={"about": ABOUT}
)
st.logo(str(HERE / "wordmark.svg"), icon_image=str(HERE / "mark.svg"), size="large")
st.html(markup.STYLE)

page = st.navigation(
    [
        st.Page("views/board.py", title="Board", icon=":material/view_list:", url_path="board", default=True),
        st.Page("views/documents.py", title="Documents", icon=":material/upload_file:", url_path="documents"),
        st.Page("views/collections.py", title="Collections", icon=":material/database:", url_path="collections"),
        st.Page("views/job.py", title="Job", icon=":material/task:", url_path="job", visibility="hidden"),
    ]
)

try:
    settings = connection.redis().settings
    with st.sidebar:
        who.ask(settings)
    page.run()
except outage.AWAY as error:
    outage.banner(error)
except IngestboardError as error:
    st.error(str(error), icon=":material/error:")
