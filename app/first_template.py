"""The template that a new stack begins with, so that `workspaced create` works at once."""

from typing import Any, Final

from workspaced.bus.chat_client import WorkspacedClient

NAME: Final = "shell"

STARTUP_SCRIPT: Final = """\
# Runs in the workspace's folder whenever its agent starts; the workspace is ready when it ends.
set -eu
mkdir -p work
if [ ! -e work/hello.txt ]; then
    echo "$PARAM_GREETING from $WORKSPACED_WORKSPACE_NAME" > work/hello.txt
fi
echo "workspace $WORKSPACED_WORKSPACE_NAME of $WORKSPACED_OWNER_NAME is up"
"""


def first_template(organization_id: str) -> dict[str, Any]:
    """A folder, a startup script, one parameter."""
    return {
        "organization_id": organization_id,
        "name": NAME,
        "display_name": "Shell",
        "description": "A folder on this machine with a startup script; a template to copy and change.",
        "source": {"startup_script": STARTUP_SCRIPT},
        "parameters": [
            {"name": "greeting", "default": "hello", "description": "The first word of the file work/hello.txt."}
        ],
    }


async def put_first_template(client: WorkspacedClient, organization_id: str) -> str:
    """Put it if the organization has no template; the name of one to begin with."""
    known = await client.list_templates(organization_id=organization_id)
    if known.templates:
        return known.templates[0].name
    await client.put_template(first_template(organization_id))
    return NAME
