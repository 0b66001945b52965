"""Our script in the browser: what the server can tell of it. What it does is tested in a real browser."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState

from dashboard import browser_side


def test_the_address_of_the_script_changes_with_its_content() -> None:
    assert re.fullmatch(r"board\.js\?v=[0-9a-f]{12}", browser_side.ADDRESS)
    assert hashlib.sha256(browser_side.SOURCE).hexdigest().startswith(browser_side.ADDRESS.rpartition("=")[2])


def test_the_script_is_packaged_with_the_pages() -> None:
    assert (resources.files("dashboard") / "board.js").is_file()


def test_a_tick_still_looks_on_the_wire_as_the_script_knows_it() -> None:
    """Bytes 90 (field 11), 42 (field 5) and 48 (field 6) are all that it knows of Streamlit's protocol."""
    assert BackMsg.DESCRIPTOR.fields_by_name["rerun_script"].number == 11
    assert ClientState.DESCRIPTOR.fields_by_name["fragment_id"].number == 5
    assert ClientState.DESCRIPTOR.fields_by_name["is_auto_rerun"].number == 6
    tick = BackMsg(rerun_script=ClientState(fragment_id="a", is_auto_rerun=True)).SerializeToString()
    assert (tick[0], tick[2], tick[-2:]) == (90, 42, bytes([48, 1]))
