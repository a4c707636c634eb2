"""What schemathesis does not know by itself: parts of uploads are bytes, as others are."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
