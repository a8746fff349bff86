"""What a chat costs from nothing to ready, beside the loop that polls: statements, bytes, messages."""

import asyncpg
from figures import Figures, number, say
from fleet import Fleet, Member, Template, a_template, begun, ready_chats
from load import counting
from polling import statements
from sizes import Sizes
from stack import Stack
from usage import Flow, Statements, counted_statements, flow

STATES = ("building", "connecting", "starting", "ready")
"""Where a chat goes with each of the four messages of provisioner and agent."""
BUILDS_MIN = (1, 5, 10)


async def measure(stack: Stack, _fleet: Fleet, sizes: Sizes) -> Figures:
    """One chat at a time, each message alone; then many at once."""
    template = await a_template(stack)
    await ready_chats(stack, 10, template)  # what is prepared once is prepared
    before = await flow(stack)
    async with counted_statements(stack) as alone:
        await one_by_one(stack, sizes.alone, template)
    spent = await flow(stack) - before
    async with counted_statements(stack) as together:
        await ready_chats(stack, sizes.together, template)
    polled = {minutes: await statements(minutes) for minutes in BUILDS_MIN}
    sql, crowd = alone.queries / sizes.alone, together.queries / sizes.together
    say(f"  alone: {told(alone, spent, sizes.alone)}")
    say(f"  of {sizes.together} at once: {number(crowd)} statements")
    say("  polling: " + ", ".join(f"{count} for {minutes} min" for minutes, count in polled.items()))
    return {
        "cost.sql_per_chat": sql,
        "cost.begin_commit_per_chat": alone.around / sizes.alone,
        "cost.sql_per_chat_together": crowd,
        "cost.wal_kb_per_chat": spent.wal_bytes / sizes.alone / 1e3,
        "cost.messages_per_chat": spent.messages / sizes.alone,
        "cost.stored_messages_per_chat": spent.stored / sizes.alone,
        "cost.stored_kb_per_chat": spent.stored_bytes / sizes.alone / 1e3,
        **{f"cost.polling_{minutes}min": count for minutes, count in polled.items()},
        **{f"cost.ratio_polling_{minutes}min": count / sql for minutes, count in polled.items()},
        "cost.ratio_polling_10min_together": polled[10] / crowd,
    }


def told(statements_: Statements, spent: Flow, chats: int) -> str:
    """In words."""
    return (
        f"{number(statements_.queries / chats)} statements and {number(statements_.around / chats)} BEGIN and COMMIT, "
        f"{number(spent.wal_bytes / chats / 1e3)} kB of WAL, {number(spent.messages / chats)} messages, "
        f"{number(spent.stored / chats)} of them stored"
    )


async def one_by_one(stack: Stack, count: int, template: Template) -> None:
    """Chats one after another; each message goes out when what the one before it moved is announced."""
    async with asyncpg.create_pool(stack.dsn, min_size=1, max_size=1) as pool:
        for slot in range(count):
            member = Member(client_id=1_000_000 + slot)
            async with counting(stack.admin, f"ws.chat.{member.chat}.creating", 1):
                said = await begun(stack, pool, member, template)
            for state, (subject, body) in zip(STATES, said, strict=True):
                async with counting(stack.admin, f"ws.chat.{member.chat}.{state}", 1):
                    await stack.admin.publish(subject, body)
