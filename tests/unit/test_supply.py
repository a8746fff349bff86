"""What `make check` and `make audit` say of the packages that we install."""

import pytest

from docs.supply import PINS, pinned, strangers, verdict

PINNED = "a-b==1.0 \\\n    --hash=sha256:00\nc==2 ; sys_platform == 'linux' \\\n    --hash=sha256:11\n"


def test_pins() -> None:
    """Each has a version and a hash; so have ours."""
    assert pinned(PINNED) == {"a-b": "1.0", "c": "2"}
    assert "nats-py" in pinned(PINS.read_text())
    with pytest.raises(ValueError, match="c has no hash"):
        pinned("a==1 --hash=sha256:00\nc==2")


def test_strangers() -> None:
    """Another version, or a package that nobody pinned; the project itself is none."""
    assert strangers({"a-b": "1.0"}, [("A_B", "1.0"), ("workspaced", "0.1.0")]) == []
    assert strangers({"a-b": "1.0"}, [("a.b", "1.1"), ("d", "3")]) == [
        "a-b 1.1 is installed, and 1.0 is pinned",
        "d 3 is installed, and no version is pinned",
    ]


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "1 of 1 packages were checked, 0 vulnerabilities known"),
        ([{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}], 1, "a 1: CVE-1"),
        ([{"name": "a", "skip_reason": "not found"}], 3, "INCONCLUSIVE: the package index here knows no"),
        ([], 3, "0 of 0 packages were checked"),
    ],
)
def test_verdict(dependencies: list[dict[str, object]], code: int, said: str) -> None:
    """Nothing that was not asked about is called well."""
    found, lines = verdict({"dependencies": dependencies})

    assert found == code
    assert any(line.startswith(said) for line in lines)
