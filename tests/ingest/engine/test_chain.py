from __future__ import annotations

from math import log2

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.engine.chain import Chain, read_chain, search_newest
from ingest.engine.manifest import (
    CHECKPOINT_EVERY,
    FORMAT,
    FileRef,
    Manifest,
    chain_folder,
    checkpoint_name,
    decode_entry,
    encode_document,
    entry_name,
    sha256_of,
    summarise,
)
from ingest.errors import CorruptError

FOLDER = chain_folder("readings", 0)


def entry(seq: int, previous: str = "") -> Manifest:
    return Manifest(
        format=FORMAT,
        operator="windows",
        topic="readings",
        partition=0,
        seq=seq,
        begin=10 * seq,
        through=10 * seq + 10,
        state=FileRef(f"state/{seq}", "00", 1),
        files=(FileRef(f"signal/s-{seq}.npy", "ab", 128, 4),),
        counts={"windows": 4},
        totals={"windows": 4 * seq + 4},
        lost=(),
        code=1,
        spec="abc",
        previous=previous,
    )


def chain_of(length: int) -> dict[str, bytes]:
    documents: dict[str, bytes] = {}
    previous = ""
    for seq in range(length):
        document = encode_document(entry(seq, previous))
        documents[entry_name(FOLDER, seq)] = document
        previous = sha256_of(document)
    for last in range(CHECKPOINT_EVERY - 1, length, CHECKPOINT_EVERY):
        names = [entry_name(FOLDER, seq) for seq in range(last - CHECKPOINT_EVERY + 1, last + 1)]
        documents[checkpoint_name(FOLDER, last)] = encode_document(summarise((n, documents[n]) for n in names))
    return documents


def read(documents: dict[str, bytes], last: int | None = None) -> Chain | None:
    return read_chain(documents.__getitem__, documents.__contains__, FOLDER, last=last)


@given(st.integers(min_value=0, max_value=10**7))
def test_the_newest_entry_is_found_with_few_probes(length: int) -> None:
    search, probes = search_newest(), 1
    probe = next(search)
    while True:
        try:
            probe = search.send(probe < length)
            probes += 1
        except StopIteration as stop:
            assert stop.value == length - 1
            break
    assert probes <= 2 * log2(length + 1) + 2


@pytest.mark.parametrize("length", [1, 2, 999, 1000, 1001, 2500])
def test_a_chain_is_read_whole_with_and_without_checkpoints(length: int) -> None:
    documents = chain_of(length)
    chain = read(documents)
    assert chain is not None
    assert chain.head.totals == {"windows": 4 * length}
    assert [ref.name for ref in chain.files] == [f"signal/s-{seq}.npy" for seq in range(length)]
    bare = {name: data for name, data in documents.items() if "checkpoint" not in name}
    again = read(bare)
    assert again is not None
    assert (again.head, again.files) == (chain.head, chain.files)
    assert chain.states[-1] == (length - 1, chain.head.state)


def test_a_checkpoint_spares_the_thousand_reads() -> None:
    documents, reads = chain_of(2500), []

    def counted(name: str) -> bytes:
        reads.append(name)
        return documents[name]

    read_chain(counted, documents.__contains__, FOLDER)
    assert len(reads) == 1 + 2 + 500, "the head first: it says what was merged"


def test_an_empty_chain_is_none_and_an_older_cut_can_be_read() -> None:
    assert read({}) is None
    chain = read(chain_of(5), last=2)
    assert chain is not None
    assert chain.head.seq == 2
    assert len(chain.files) == 3


def test_a_swapped_entry_is_seen() -> None:
    documents = chain_of(4)
    documents[entry_name(FOLDER, 1)] = encode_document(entry(1, "somebody else"))
    with pytest.raises(CorruptError, match="000000000001.json: does not follow"):
        read(documents)


def test_a_renamed_entry_is_seen() -> None:
    documents = chain_of(4)
    documents[entry_name(FOLDER, 3)] = documents[entry_name(FOLDER, 2)]
    with pytest.raises(CorruptError, match="holds entry 2"):
        read(documents)


def test_every_flipped_bit_of_an_entry_is_seen() -> None:
    document = encode_document(entry(7))
    good = decode_entry(document, "e")
    for position in range(8 * len(document)):
        flipped = bytearray(document)
        flipped[position // 8] ^= 1 << position % 8
        try:
            assert decode_entry(bytes(flipped), "e") == good  # white space around the document carries nothing
            assert position // 8 >= len(document) - 1
        except CorruptError as error:
            assert str(error).startswith("e: ")


def test_an_entry_of_another_format_is_refused() -> None:
    later = encode_document(msgspec.structs.replace(entry(0), format=4))
    with pytest.raises(CorruptError, match="found format 4, expected 3"):
        decode_entry(later, "e")
