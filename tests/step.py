"""What one input came to: rows, effects and answers, as tests like to look at them."""

from dataclasses import dataclass

from workspaced.fsm.effects import AskAgents, ChatDeadline, Effect, PublishJob, PurgeJob, SetTimer, StopJob
from workspaced.fsm.rows import Changes, InputRow, TransitionRow
from workspaced.fsm.state import State
from workspaced.fsm.world import Answer


@dataclass
class Step:
    """What one input came to."""

    changes: Changes
    said: list[Effect]
    """All effects in the order in which they are said, those of transitions included."""
    answers: list[Answer]
    replayed: list[TransitionRow]

    @property
    def transitions(self) -> list[TransitionRow]:
        """The new transitions."""
        return self.changes.transitions

    @property
    def moves(self) -> list[tuple[State, State]]:
        """From where to where they lead."""
        return [(row.from_state, row.to_state) for row in self.transitions]

    @property
    def answer(self) -> InputRow:
        """The answer to a command."""
        return self.answers[0].row

    @property
    def outcome(self) -> str | None:
        """The answer's outcome."""
        return self.answer.outcome

    @property
    def jobs(self) -> list[str]:
        """The transitions of the builds whose jobs are published."""
        return [effect.job.transition for effect in self.said if isinstance(effect, PublishJob)]

    @property
    def purged(self) -> list[str]:
        """The jobs that are taken from their queue."""
        return [effect.job_id for effect in self.said if isinstance(effect, PurgeJob)]

    @property
    def stopped(self) -> list[tuple[str, str]]:
        """The jobs whose workers are told to stop, and why."""
        return [(effect.job_id, effect.reason) for effect in self.said if isinstance(effect, StopJob)]

    @property
    def asked(self) -> list[str]:
        """The workspaces whose agents are asked to tell again."""
        return [effect.workspace_id for effect in self.said if isinstance(effect, AskAgents)]

    def timers(self, kind: type = ChatDeadline) -> list[SetTimer]:
        """The timers of one kind that are set."""
        return [effect for effect in self.said if isinstance(effect, SetTimer) and isinstance(effect.due, kind)]
