"""What may go wrong with a request while an application reads it or answers it.

Requests that cannot be read at all are answered before anybody else sees them.
"""

from monoceros.http.errors import BadRequest as ParseException
from monoceros.http.errors import BodyError as ChunkMissingTerminator
from monoceros.http.errors import BodyError as InvalidChunkSize
from monoceros.http.errors import BodyError as NoMoreData

__all__ = ["ChunkMissingTerminator", "InvalidChunkSize", "NoMoreData", "ParseException"]
