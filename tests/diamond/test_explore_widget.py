"""The explorer in a real Jupyter kernel: a cell shows it, and its page is answered through the notebook."""

import queue
import time

import pytest

CELL = """
import numpy as np
import diamond as dc
from tests import tiny
net = dc.load(tiny.linear_tail(), input=(0, 1))
explorer = dc.explore(net, np.random.default_rng(0).random((8, 6, 3), dtype=np.float32), layer="features")
explorer
"""
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def kernel():
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client, code):
    """Run a cell; give what it shows, and the messages that come meanwhile."""
    asked, shown, told = client.execute(code), [], []
    while True:
        message = client.get_iopub_msg(timeout=120)
        kind, content = message["msg_type"], message["content"]
        told += said(message)
        if message["parent_header"].get("msg_id") != asked:
            continue
        if kind in ("execute_result", "display_data", "stream", "error"):
            shown.append(content)
        if kind == "status" and content["execution_state"] == "idle":
            return shown, told


def said(message):
    data = message["content"].get("data", {}) if message["msg_type"] == "comm_msg" else {}
    return [data["content"]] if data.get("method") == "custom" else []


def until(client, is_last):
    """Give what the explorer says until a message is the last one."""
    told, end = [], time.monotonic() + 120
    while time.monotonic() < end:
        try:
            told += said(client.get_iopub_msg(timeout=1))
        except queue.Empty:
            continue
        if told and is_last(told[-1]):
            return told
    raise AssertionError(f"no end after {[message['say'] for message in told]}")


def is_done(message):
    return message["say"] == "status" and message["words"] == "Done"


def ask(client, model, **content):
    """Send what the page sends: a custom message of its widget."""
    data = {"comm_id": model, "data": {"method": "custom", "content": content}}
    client.shell_channel.send(client.session.msg("comm_msg", data))


@pytest.mark.slow
def test_a_cell_shows_the_explorer_and_the_page_is_answered_through_the_kernel(kernel):
    shown, told = run(kernel, CELL)
    [view] = [content["data"][VIEW] for content in shown if VIEW in content.get("data", {})]
    assert [content for content in shown if content.get("name") == "stderr" or "ename" in content] == []
    if not any(is_done(message) for message in told):
        told += until(kernel, is_done)
    kinds = [message["say"] for message in told]
    assert {"network", "picture", "predictions", "question", "channels", "map", "occlusion"} <= set(kinds)
    assert kinds.index("predictions") < kinds.index("channels") < kinds.index("map") < kinds.index("occlusion")
    model = view["model_id"]
    ask(kernel, model, do="ask", layer="conv", positive=2)
    told = until(kernel, lambda message: message["say"] == "map")
    assert told[-1]["layer"] == "conv"
    ask(kernel, model, do="ask", positive="tabby")
    told = until(kernel, lambda message: message["say"] == "trouble")
    assert "'tabby'" in told[-1]["words"]
    # A view that is opened again asks for all of it.
    ask(kernel, model, do="hello")
    told = until(kernel, lambda message: message["say"] == "network")
    assert told[-1]["name"] == "linear_tail"
    shown, _ = run(kernel, "explorer.close(); print(repr(explorer))")
    assert shown[-1]["text"].strip() == "The explorer: run the cell to open it"


@pytest.mark.slow
def test_what_cannot_be_explored_is_refused_in_the_cell(kernel):
    shown, _ = run(kernel, CELL.replace('layer="features"', 'layer="featurs"'))
    assert shown[-1]["ename"] == "UnknownLayerError"
    assert "features" in shown[-1]["evalue"]
