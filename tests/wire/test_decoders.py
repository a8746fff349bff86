"""Whatever reads what others wrote does it by `bus/codec.py`, whose errors are known and fuzzed, or is listed."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("app", "bus", "fsm", "provisioners", "store", "tools")

FUZZED: Final = {
    "bus/codec.py:decode": "test_fuzz.py::test_requests_and_answers",
    "bus/codec.py:decode_request": "test_fuzz.py::test_requests_and_answers",
    "bus/codec.py:decode_event": "test_fuzz.py::test_requests_and_answers",
    "bus/codec.py:decode_template": "test_fuzz.py::test_templates",
    "bus/codec.py:_first_that_is_no_text": "test_fuzz.py::test_requests_and_answers",
    "bus/codec.py:_refuse_nul": "test_fuzz.py::test_requests_and_answers",
    "bus/decode.py:content_of": "test_fuzz.py::test_streams",
    "bus/agent_client.py:AgentClient._on_resync": "test_fuzz_clients.py::test_what_agents_hear",
    "bus/until_stored.py:_fault": "test_fuzz.py::test_answers_of_streams",
    "fsm/parameters.py:_as_list": "test_fuzz_files.py::test_parameters",
    "app/template_files.py:_parse": "test_fuzz_files.py::test_template_folders",
    "provisioners/agent/config.py:read_config": "test_fuzz_files.py::test_what_a_workspace_holds",
    "provisioners/local/folder.py:Folder.record": "test_fuzz_files.py::test_what_a_workspace_holds",
    "app/commands/schema.py:_check": "test_fuzz.py::test_older_contracts",
    "tools/offer.py:run_tool": "test_fuzz_clients.py::test_what_a_model_gives",
    "app/commands/conformance.py:_json": "test_fuzz_files.py::test_options_of_conformance",
}
"""By a test of this folder: what others wrote."""
OURS: Final = {
    "app/contract/asyncapi.py:document": "made there",
    "app/contract/examples.py:examples": "a file of the package",
    "app/contract/schemas.py:components": "made there",
    "app/contract/schemas.py:standalone": "made there",
    "app/conformance/agents.py:connections": "an answer of the NATS server that the check has started",
    "app/replay.py:_renamed": "made there",
    "app/replay_parts.py:_hand_out_events": "rows of our tables, from which jobs were sent",
    "app/replay_parts.py:_note_absent": "the same",
    "store/catalogue.py:_content": "checked by decode_template",
    "store/logins.py:Logins.admit": "made by the query",
    "store/twin_tables.py:stored": "made there",
    "tools/mcp_identity.py:_checked": "a text, by a pattern",
    "tools/mcp_server.py:_result": "made there",
}
"""What nobody else wrote, and why."""


def readers(tree: ast.AST, scope: str = "") -> Iterator[str]:
    """The functions that turn JSON or TOML into values."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in READERS:
            yield scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from readers(node, f"{scope}.{node.name}".lstrip("."))
        else:
            yield from readers(node, scope)


READERS: Final = frozenset(
    {
        "msgspec.json.decode",
        "msgspec.json.Decoder",
        "msgspec.convert",
        "decoder(kind).decode",
        "json.load",
        "json.loads",
        "tomllib.load",
        "tomllib.loads",
        "pickle.loads",
        "yaml.safe_load",
    }
)


def test_every_reader_is_listed() -> None:
    """A new one is read by `codec.decode`, or gets a test that feeds it what nobody should write."""
    found = {
        f"{path.relative_to(ROOT)}:{name}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for name in readers(ast.parse(path.read_text()))
    }

    # Decoders that are made once: of codec.py, and of rows that Postgres gives.
    assert found - {"bus/codec.py:decoder", "store/rowset.py:_decoder"} == FUZZED.keys() | OURS.keys()


def test_every_test_is_there() -> None:
    """By its name."""
    for place in FUZZED.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / "wire" / file).read_text()
