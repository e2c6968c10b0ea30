"""The mutants of the agent and its spool: the log has it before the spool forgets it, and what goes is announced."""

from __future__ import annotations

from typing import Final

from tests.mutants.harness import Mutant

_PUBLISHER: Final = "edge/agent/publisher.py"
_PIPELINE: Final = "edge/agent/pipeline.py"
_COMMITTER: Final = "edge/agent/committer.py"
_UNWRITTEN: Final = "edge/agent/unwritten.py"
_DRAINING: Final = "edge/spool/draining.py"
_CONDENSING: Final = "edge/spool/condensing.py"
_QUEUE: Final = "edge/spool/queue.py"
_CLOSED: Final = "edge/spool/closed.py"
_MARK: Final = "edge/spool/mark.py"
_T_PUBLISHER: Final = "tests/edge/agent/test_publisher.py"
_T_AGENT: Final = "tests/edge/agent/test_agent.py"
_T_UNWRITTEN: Final = "tests/edge/agent/test_unwritten.py"
_T_DRAINING: Final = "tests/edge/spool/test_draining.py"
_T_CONDENSING: Final = "tests/edge/spool/test_condensing.py"
_T_QUEUE: Final = "tests/edge/spool/test_queue.py"

AGENT: Final[list[Mutant]] = [
    # --- publisher: the log has it before the spool forgets it
    Mutant(
        "acknowledges before it appends",
        _PUBLISHER,
        """                await self._append(loop, step.topic, step.entries)
                await self._patiently(loop, "spool", partial(queue.acknowledge, step.next_offset))
""",
        """                await self._patiently(loop, "spool", partial(queue.acknowledge, step.next_offset))
                await self._append(loop, step.topic, step.entries)
""",
        _T_PUBLISHER,
    ),
    Mutant(
        "gives up an append that failed",
        _PUBLISHER,
        """                self._notices.say(loop, f"the log: {error}")
                await asyncio.sleep(backoff.next_s())
""",
        """                self._notices.say(loop, f"the log: {error}")
                return
""",
        _T_PUBLISHER,
    ),
    Mutant(
        "does not read again what waited for the clock",
        _PUBLISHER,
        """                queue.rewind()
""",
        """                pass
""",
        _T_PUBLISHER,
    ),
    Mutant(
        "shows everything live",
        _PUBLISHER,
        "if self.figures.lag_s < LIVE_LAG_S or not chunks:",
        "if not chunks:",
        _T_PUBLISHER,
    ),
    # --- pipeline: acknowledged when durable, known when it comes again
    Mutant(
        "takes what is delivered again for new",
        _PIPELINE,
        "if item.redelivered and self._identities.is_known(self.config.name, item.identity):",
        "if False:",
        _T_AGENT,
    ),
    Mutant(
        "takes what is new for delivered again",
        _PIPELINE,
        "if item.redelivered and self._identities.is_known(self.config.name, item.identity):",
        "if item.redelivered:",
        _T_AGENT,
    ),
    Mutant(
        "never asks again for what was given up",
        _PIPELINE,
        "        self._given_up |= bool(tokens)\n",
        "        pass\n",
        _T_AGENT,
    ),
    Mutant(
        "lets an urgent arrival wait for the schedule",
        _PIPELINE,
        "            self._schedule.at_once()\n",
        "            pass\n",
        _T_AGENT,
    ),
    # --- committer
    Mutant(
        "acknowledges what the disk did not take",
        _COMMITTER,
        """            if is_kept:
                pipeline.put_back(held)
""",
        """            if is_kept:
                pipeline.acknowledge(held)
""",
        _T_AGENT,
    ),
    # --- unwritten
    Mutant(
        "gives up chunks without a word",
        _UNWRITTEN,
        "                self._refusals.refuse(write.record, reason, write.kernel_boot)\n",
        "                pass\n",
        _T_UNWRITTEN,
    ),
    Mutant(
        "lets progress pass what was given up",
        _UNWRITTEN,
        "            elif not isinstance(write.record, Progress):\n",
        "            else:\n",
        _T_UNWRITTEN,
    ),
    Mutant(
        "keeps identities of what it gave up",
        _UNWRITTEN,
        "        self._identities.forget([write.entry for write in left])\n",
        "",
        _T_UNWRITTEN,
    ),
    # --- draining: what damage took is announced
    Mutant(
        "does not see one lost chunk between two",
        _DRAINING,
        "record.seq <= known[0] + 1:",
        "record.seq <= known[0] + 2:",
        _T_DRAINING,
    ),
    Mutant(
        "passes what waits for the clock",
        _DRAINING,
        "                plan.waits = True\n                return plan\n",
        "                plan.waits = True\n",
        _T_DRAINING,
    ),
    # --- condensing: what goes is announced, once
    Mutant(
        "forgets what was missing before it thinned",
        _CONDENSING,
        "missing = chunk.missing + chunk.count - count",
        "missing = chunk.count - count",
        _T_CONDENSING,
    ),
    Mutant(
        "thins without a word",
        _CONDENSING,
        "chunk = replace(chunk, missing=missing, missing_reason=reason)",
        "chunk = replace(chunk, missing=chunk.missing, missing_reason=reason)",
        _T_CONDENSING,
    ),
    # --- the queue: what is durable, what is read
    Mutant(
        "condenses what was read, and may be in the log",
        _CONDENSING,
        "if frame.offset < start:",
        "if frame.offset < start - 1:",
        _T_CONDENSING,
    ),
    Mutant(
        "reads on in a segment that was condensed meanwhile",
        _QUEUE,
        "        self._cursor.close()\n        self._place = Place(self._place.offset)\n        self.stats",
        "        self.stats",
        f"{_T_QUEUE}::test_a_segment_that_is_condensed_while_it_is_read_is_read_on_as_it_is_now",
    ),
    Mutant(
        "believes a mark beyond the end",
        _MARK,
        "return found if first <= found <= end else first",
        "return found if first <= found else first",
        f"{_T_QUEUE}::test_a_mark_that_lies_beyond_the_end_is_not_believed",
    ),
    Mutant(
        "puts a condensed segment in place before it is durable",
        _CLOSED,
        "            write_synced(temporary, data)\n",
        "            temporary.write_bytes(data)\n",
        _T_QUEUE,
    ),
    Mutant(
        "leaves a condensed segment's name to chance",
        _CLOSED,
        "        whole.replace(self._partition.path(base))\n        sync_folder(self._partition.folder)\n",
        "        whole.replace(self._partition.path(base))\n",
        _T_QUEUE,
    ),
]
