//! Records out of a stream.
