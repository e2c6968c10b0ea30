"""What an answer over HTTP is made of: JSON that nobody keeps, and problems in words."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from timeline.protocol import Problem


class ProblemError(Exception):
    """A request that is refused."""

    def __init__(self, status: int, error: str, words: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.problem = Problem(error, words)
        self.headers = headers


def json_answer(value: object) -> Response:
    """A value of `timeline.protocol`, or a document."""
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(value), media_type="application/json", headers=headers)


def problem_answer(status: int, problem: Problem) -> Response:
    """A `Problem`."""
    return Response(msgspec.json.encode(problem), status, media_type="application/json")
