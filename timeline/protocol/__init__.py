"""What the timeline's page and its server say to one another: every message of the socket, every answer over HTTP.

Messages are JSON objects whose `type` says which; samples and tiles come as binary frames (`frames`). An instant is a
`Ns`: nanoseconds UTC in a string, since a JavaScript number holds them only roughly. Ranges are half-open,
`[from_ns, to_ns)`; a mark whose ends are equal is an instant. The timeline's README.md says what follows on what.

A new field goes to the end of a message and has a default: pages and servers of two versions understand one another.
"""

from timeline.protocol.fields import COLUMNS_MAX, STREAMS_MAX, Name, Ns, Number, Role, Uuid
from timeline.protocol.http import Gallery, GalleryRow, Login, Problem, Session, TakePlan, TakeQuery
from timeline.protocol.line import CLOSE_CODES, MESSAGE_BYTES, PROTOCOL, Hello, Ping, Pong, Reading, Trouble, Welcome
from timeline.protocol.marks import (
    Accepted,
    Act,
    Changed,
    Density,
    DensityOf,
    Event,
    Kind,
    Label,
    Labels,
    Mark,
    Marks,
    MarksOf,
    Neighbour,
    NeighbourOf,
    Queue,
    Queued,
    QueueOf,
    Rejected,
)
from timeline.protocol.messages import FromPage, ToPage, UnfitError, decode, encode
from timeline.protocol.presence import Pending, People, Person, Presence
from timeline.protocol.streams import Channel, Device, Devices, Gap, LiveNews, Recording, Shown, Stream, Unsure, View

__all__ = [
    "CLOSE_CODES",
    "COLUMNS_MAX",
    "MESSAGE_BYTES",
    "PROTOCOL",
    "STREAMS_MAX",
    "Accepted",
    "Act",
    "Changed",
    "Channel",
    "Density",
    "DensityOf",
    "Device",
    "Devices",
    "Event",
    "FromPage",
    "Gallery",
    "GalleryRow",
    "Gap",
    "Hello",
    "Kind",
    "Label",
    "Labels",
    "LiveNews",
    "Login",
    "Mark",
    "Marks",
    "MarksOf",
    "Name",
    "Neighbour",
    "NeighbourOf",
    "Ns",
    "Number",
    "Pending",
    "People",
    "Person",
    "Ping",
    "Pong",
    "Presence",
    "Problem",
    "Queue",
    "QueueOf",
    "Queued",
    "Reading",
    "Recording",
    "Rejected",
    "Role",
    "Session",
    "Shown",
    "Stream",
    "TakePlan",
    "TakeQuery",
    "ToPage",
    "Trouble",
    "UnfitError",
    "Unsure",
    "Uuid",
    "View",
    "Welcome",
    "decode",
    "encode",
]
