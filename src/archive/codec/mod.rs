//! How the bytes of a tar are compressed. What is particular to one codec stands in its own file.

pub(crate) mod gzip;
