"""The mutants. Each stands for a mistake that somebody could make, or has made."""

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
_ARRIVALS: Final = "edge/recording/arrivals.py"
_UNRATED: Final = "edge/recording/unrated.py"
_BURSTS: Final = "edge/recording/bursts.py"
_RECORDER: Final = "edge/recording/recorder.py"
_DEVICE: Final = "edge/recording/device.py"
_CATCHUP: Final = "edge/recording/catchup.py"
_REGRESSION: Final = "edge/recording/regression.py"
_KEPT: Final = "edge/sources/mqtt/kept.py"
_DESCRIBING: Final = "edge/agent/describing.py"
_STALLS: Final = "edge/sources/serial/stalls.py"
_HANDOVER: Final = "edge/sources/serial/handover.py"
_SHARING: Final = "edge/sources/sharing.py"
_I2C: Final = "edge/sources/i2c/bus.py"
_I2C_READER: Final = "edge/sources/i2c/reader.py"
_FILES: Final = "ingest/files.py"
_COMPACTION: Final = "ingest/log/segments/compaction.py"
_PARTITION: Final = "ingest/log/segments/partition.py"
_SEGMENT: Final = "ingest/log/segments/segment.py"
_RECOVERY: Final = "ingest/log/segments/recovery.py"
_INDEX: Final = "ingest/log/segments/index.py"
_T_INDEX: Final = "tests/ingest/log/test_index.py"
_T_PUBLISHER: Final = "tests/edge/agent/test_publisher.py"
_T_AGENT: Final = "tests/edge/agent/test_agent.py"
_T_UNWRITTEN: Final = "tests/edge/agent/test_unwritten.py"
_T_DRAINING: Final = "tests/edge/spool/test_draining.py"
_T_CONDENSING: Final = "tests/edge/spool/test_condensing.py"
_T_QUEUE: Final = "tests/edge/spool/test_queue.py"
_T_PARTITION: Final = "tests/ingest/log/test_partition.py tests/ingest/log/test_partition_damage.py"
_T_TIMEBASE: Final = "tests/edge/recording/test_timebase.py"
_T_BURSTS: Final = "tests/edge/recording/test_bursts.py"
_T_CATCHUP: Final = "tests/edge/recording/test_catchup.py"
_T_POSTERIOR: Final = "tests/edge/recording/test_posterior.py"
_T_KEPT: Final = "tests/edge/sources/test_mqtt_kept.py"
_T_DESCRIBING: Final = "tests/edge/agent/test_describing.py"
_T_RECORDER: Final = "tests/edge/recording/test_recorder.py"
_T_SERIAL: Final = "tests/edge/sources/test_serial_stalls.py tests/edge/sources/test_serial_handover.py"
_T_SHARING: Final = "tests/edge/sources/test_sharing.py"
_T_I2C: Final = "tests/edge/sources/test_i2c.py"
_T_I2C_READER: Final = "tests/edge/sources/test_i2c_reader.py"
_DISK: Final = "ingest/engine/disk.py"
_STORE: Final = "ingest/engine/store.py"
_WORKER: Final = "ingest/engine/worker.py"
_CONTINUITY: Final = "ingest/engine/continuity.py"
_LEFTOVERS: Final = "ingest/engine/leftovers.py"
_ENGINE_PARTITION: Final = "ingest/engine/partition.py"
_STATES: Final = "ingest/engine/states.py"
_T_STATES: Final = "tests/ingest/engine/test_states.py"
_T_CRASHES: Final = "tests/sim/test_every_crash.py::test_a_crash_at_every_operation[0]"
_T_DISK: Final = "tests/ingest/engine/test_disk.py"
_T_WORKER: Final = "tests/ingest/engine/test_worker.py tests/ingest/engine/test_worker_logs.py"
_T_TWINS: Final = "tests/sim/test_every_crash.py::test_a_crash_while_two_partitions_seal_equal_files"

MUTANTS: Final[list[Mutant]] = [
    # --- parts on a bus: what they say is believed while they are as they were set up
    Mutant(
        "believes what a part said that was reset",
        _I2C,
        """        self._check()
        return Found""",
        """        return Found""",
        _T_I2C,
    ),
    Mutant(
        "takes a full FIFO for one that lost nothing",
        _I2C,
        "is_full |= count >= self.capacity > 1",
        "pass",
        _T_I2C,
    ),
    Mutant(
        "reads what an overrun left in a FIFO of bytes, wherever it begins",
        _I2C,
        """            self._write(*fifo.overrun.clear)
            count = 0
""",
        """            self._write(*fifo.overrun.clear)
""",
        _T_I2C,
    ),
    Mutant(
        "says that what a FIFO kept was lost, too",
        _I2C_READER,
        "at_ns = max(seen_ns + 1, found.monotonic_ns - kept_ns)",
        "at_ns = found.monotonic_ns",
        _T_I2C_READER,
    ),
    Mutant(
        "takes what comes behind a known loss for a backlog",
        _ARRIVALS,
        "self._is_over = self._interrupted and is_over",
        "self._is_over = False",
        _T_I2C_READER,
    ),
    # --- a port that several streams share
    Mutant(
        "closes a shared source with the first who goes",
        _SHARING,
        "if any(view.is_open for view in self.views):",
        "if False:",
        _T_SHARING,
    ),
    Mutant(
        "gives what a shared source had at its end to nobody",
        _SHARING,
        "self._hand_out(list(self.source.left()), also_closed=True)",
        "self._hand_out(list(self.source.left()))",
        _T_SHARING,
    ),
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
        _QUEUE,
        "return found if first <= found <= self._head.next_offset else first",
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
    # --- segments: each fsync
    Mutant(
        "rolls before the old segment is durable",
        _PARTITION,
        """                os.ftruncate(fd, head.position)
            os.fdatasync(fd)
""",
        """                os.ftruncate(fd, head.position)
""",
        _T_PARTITION,
    ),
    Mutant(
        "rolls to a segment whose name is not durable",
        _PARTITION,
        """        sync_folder(self.folder)
        return self._put(head._replace(base=base, position=0, durable=base, durable_position=0))
""",
        """        return self._put(head._replace(base=base, position=0, durable=base, durable_position=0))
""",
        _T_PARTITION,
    ),
    Mutant(
        "recovers to what is not durable",
        _PARTITION,
        "        os.fdatasync(self._active_fd(found.head.base))\n        sync_folder(self.folder)\n",
        "        sync_folder(self.folder)\n",
        _T_PARTITION,
    ),
    Mutant(
        "recovers to a name that is not durable",
        _PARTITION,
        "        os.fdatasync(self._active_fd(found.head.base))\n        sync_folder(self.folder)\n",
        "        os.fdatasync(self._active_fd(found.head.base))\n",
        _T_PARTITION,
    ),
    Mutant(
        "takes a copy's head for a bound of what was durable",
        _RECOVERY,
        "if old is not None and not (is_copy and _is_beginning(data, found)):",
        "if old is not None:",
        _T_PARTITION,
    ),
    Mutant(
        "takes every head for a copy's",
        _PARTITION,
        "is_copy = old is not None and old.is_copy(boot_id(), self._home)",
        "is_copy = old is not None",
        _T_PARTITION,
    ),
    Mutant(
        "takes a damaged end of a copy for a torn one",
        _RECOVERY,
        "bool(offset == found.next_offset and PREFIX_BYTES + length > len(rest))",
        "bool(offset == found.next_offset)",
        _T_PARTITION,
    ),
    Mutant(
        "forgets a segment whose last record is just young enough",
        _PARTITION,
        "self._begin_ns(after, head) < before_ns",
        "self._begin_ns(after, head) <= before_ns",
        _T_PARTITION,
    ),
    Mutant(
        "closes a segment whose last record is just young enough",
        _PARTITION,
        "head.position and head.append_ns < before_ns:",
        "head.position and head.append_ns <= before_ns:",
        _T_PARTITION,
    ),
    Mutant(
        "keeps a segment more than the bound",
        _PARTITION,
        "total - size < keep_bytes",
        "total - size <= keep_bytes",
        _T_PARTITION,
    ),
    Mutant(
        "keeps a segment that ends where it is trimmed",
        _PARTITION,
        "if after <= before]",
        "if after < before]",
        _T_PARTITION,
    ),
    Mutant(
        "takes a record that is a byte too long for a segment",
        _SEGMENT,
        "        if room < 0:\n",
        "        if room < -1:\n",
        "tests/ingest/log/test_segment.py",
    ),
    Mutant(
        "believes the index of another file",
        _INDEX,
        "if found.home == head.home and",
        "if",
        _T_INDEX,
    ),
    Mutant(
        "begins to read behind a time",
        _INDEX,
        "if spot.append_ns < append_ns]",
        "if spot.append_ns <= append_ns]",
        _T_INDEX,
    ),
    Mutant(
        "gives a spot's record without a look at its checksum",
        _INDEX,
        "if frame is not None and frame.offset == spot.offset:",
        "if frame is not None:",
        _T_INDEX,
    ),
    Mutant(
        "commits without an fsync",
        _PARTITION,
        "            os.fdatasync(written.fd)\n",
        "            pass\n",
        f"{_T_QUEUE} {_T_PARTITION}",
    ),
    Mutant(
        "compacts to what is not durable",
        _COMPACTION,
        "    write_synced(temporary, merged)\n",
        "    temporary.write_bytes(merged)\n",
        _T_PARTITION,
    ),
    Mutant(
        "deletes before the merged segment's name is durable",
        _COMPACTION,
        "        sync_folder(partition.folder)\n        for base",
        "        for base",
        _T_PARTITION,
    ),
    Mutant(
        "writes a file without an fsync",
        _FILES,
        "        file.flush()\n        os.fsync(file.fileno())\n",
        "        file.flush()\n",
        _T_PARTITION,
    ),
    # --- times
    Mutant(
        "places rated samples before what was promised",
        _ARRIVALS,
        "step, first = self._step, max(self._last + self._step, self._floor)",
        "step, first = self._step, self._last + self._step",
        _T_TIMEBASE,
    ),
    Mutant(
        "takes the nominal rate for the true one",
        _ARRIVALS,
        "wanted = period * (1 + off / soon_ns)",
        "wanted = self._nominal * (1 + off / soon_ns)",
        _T_TIMEBASE,
    ),
    Mutant(
        "does not see that samples are missing",
        _ARRIVALS,
        "hole = (earliest, first) if first - earliest > period else None",
        "hole = None",
        f"{_T_TIMEBASE} {_T_RECORDER}",
    ),
    Mutant(
        "spreads what waited up to its arrival",
        _UNRATED,
        "        if stamp.waited_ns:  # somewhere in between\n",
        "        if False:\n",
        _T_TIMEBASE,
    ),
    Mutant(
        "takes a burst for the rate",
        _BURSTS,
        "at_ns - before_ns < FASTER * count * period_ns and",
        "False and",
        _T_BURSTS,
    ),
    Mutant(
        "keeps the arrival at which a tick cut a burst",
        _ARRIVALS,
        "            line.take_back()\n",
        "",
        _T_BURSTS,
    ),
    Mutant(
        "takes the first read of a burst for the end of a silence",
        _ARRIVALS,
        "late > SILENT_NS + _KEPT * self._kept_ns",
        "late > SILENT_NS",
        _T_BURSTS,
    ),
    Mutant(
        "ignores by how much a device's clock is ahead anyway",
        _DEVICE,
        "> max(0, lead) + DEVICE_STEP_NS",
        "> DEVICE_STEP_NS",
        _T_TIMEBASE,
    ),
    Mutant(
        "forgets by how much a device's clock was ahead",
        _DEVICE,
        "lead = int(device_ns[0]) - stamp.time_ns if self._lead is None else self._lead",
        "lead = int(device_ns[0]) - stamp.time_ns if self._lead is None else 0",
        _T_TIMEBASE,
    ),
    Mutant(
        "believes what comes in a heap after a silence",
        _CATCHUP,
        "return at_ns - silence.begin_ns if silence.kept else 0",
        "return 0",
        _T_CATCHUP,
    ),
    Mutant(
        "never believes a stream again that had a silence",
        _CATCHUP,
        "        if silence.is_over(at_ns):\n",
        "        if False:\n",
        _T_CATCHUP,
    ),
    Mutant(
        "takes every silence for a heap's",
        _CATCHUP,
        "< FASTER * self.pace * behind",
        "<= 2 * self.pace * (behind + 1)",
        _T_CATCHUP,
    ),
    Mutant(
        "takes the likeliest line of a few arrivals for the truth",
        _REGRESSION,
        "if self._old.count <= FEW and (found := self._old.expected()) is not None:",
        "if self._old.count < 0 and (found := self._old.expected()) is not None:",
        _T_POSTERIOR,
    ),
    # --- brokers, and the log's descriptions
    Mutant(
        "believes what a publisher kept of an absence",
        _KEPT,
        "if self._absent_ns and not self._has_come(now_ns):",
        "if False:",
        _T_KEPT,
    ),
    Mutant(
        "takes a pause in what a publisher kept for its end",
        _KEPT,
        "pause_ns > max(PAUSE_NS, 4 * pace_ns)",
        "False",
        _T_KEPT,
    ),
    Mutant(
        "takes another topic for the one that was written to",
        _DESCRIBING,
        "            self._ends[partition] = found.end\n",
        "",
        _T_DESCRIBING,
    ),
    # --- the serial port's stalls
    Mutant(
        "does not notice that the process stood still",
        _STALLS,
        "if at_ns - self._looked_ns > (FULL_NS if is_full else STALL_NS):",
        "if False:",
        _T_SERIAL,
    ),
    Mutant(
        "does not mind a full buffer after a short stall",
        _STALLS,
        "(FULL_NS if is_full else STALL_NS)",
        "STALL_NS",
        _T_SERIAL,
    ),
    Mutant(
        "says nothing of what a full buffer has lost",
        _STALLS,
        "self.since_ns if self._was_full else None",
        "None",
        _T_SERIAL,
    ),
    Mutant(
        "joins reads across a stall",
        _HANDOVER,
        "return self.since_ns == before.since_ns and abs(step_ns) <= STEP_NS",
        "return abs(step_ns) <= STEP_NS",
        _T_SERIAL,
    ),
    # --- the engine: what it writes, what it holds, which log it goes on with
    Mutant(
        "a base is deleted while deltas need it",
        _ENGINE_PARTITION,
        "needed = {name for names in kept[-2:] for name in names}",
        "needed = {names[-1] for names in kept[-2:]}",
        _T_CRASHES,
    ),
    Mutant(
        "a delta forgets its last part",
        _STATES,
        "return _pieces(base.ref.sha256, _runs(places, len(base.parts)), own), True",
        "return _pieces(base.ref.sha256, _runs(places[:-1], len(base.parts)), own), True",
        _T_CRASHES,
    ),
    Mutant(
        "a part is known by how it begins",
        _STATES,
        "hashlib.sha256(part).digest()",
        "hashlib.sha256(part[:12]).digest()",
        _T_CRASHES,
    ),
    Mutant(
        "who recovers takes a delta's places for its base's",
        _ENGINE_PARTITION,
        "base_of(entry.base, decode_parts(whole, entry.base.name))",
        "base_of(entry.base, parts)",
        _T_STATES,
    ),
    Mutant(
        "a copy of a chain leaves out the base",
        "ingest/engine/copying.py",
        "for entry in entries for ref in entry.states))",
        "for entry in entries for ref in (entry.state,)))",
        _T_STATES,
    ),
    Mutant(
        "the engine's files are not fsynced",
        _DISK,
        """                sync_and_close(written.pop(path), self._root / path)
""",
        """                os.close(written.pop(path))
""",
        _T_DISK,
    ),
    Mutant(
        "two acts share a temporary file",
        _STORE,
        """        return f"{self._token}-{next(self._acts)}"
""",
        """        return self._token
""",
        _T_DISK,
    ),
    Mutant(
        "a slow disk does not hold up feeding",
        _WORKER,
        """        if full or fed.running.pending_bytes >= max(2 * self._limits.seal_bytes, self._due_bytes(fed)):
""",
        """        if full:
""",
        _T_WORKER,
    ),
    Mutant(
        "all partitions together hold what they like",
        _WORKER,
        """<= self._limits.held_bytes:
""",
        """< 1 << 62:
""",
        _T_WORKER,
    ),
    Mutant(
        "a hole may end beyond the log",
        _WORKER,
        """        if begin > end:
""",
        """        if begin > end + (1 << 62):
""",
        _T_WORKER,
    ),
    Mutant(
        "an entry a minute of nothing but numbers",
        _WORKER,
        """        if long or much or part.lost or not work.is_hollow(output):
""",
        """        if part.dirty or long or much:
""",
        _T_WORKER,
    ),
    Mutant(
        "any record at the same offset will do",
        _CONTINUITY,
        """    if another or (found.sha256 != last.sha256 and not stands_in_one):
""",
        """    if found.offset != last.offset and not stands_in_one:
""",
        _T_WORKER,
    ),
    Mutant(
        "a shorter log is gone on with",
        _CONTINUITY,
        """    if bounds.end < through:
""",
        """    if bounds.end < 0:
""",
        _T_WORKER,
    ),
    Mutant(
        "who left a seal unfinished is not fenced",
        _WORKER,
        """        if part.haunted and part.position == part.begin:
""",
        """        if part.haunted and part.position < part.begin:
""",
        _T_TWINS,
    ),
    Mutant(
        "what an entry names is swept away",
        _LEFTOVERS,
        """for name in listed if name not in kept)""",
        """for name in listed)""",
        _T_TWINS,
    ),
]
