//! What goes over the wire: the values of the API and, for the HTTP face, its formats.

pub(crate) mod values;
