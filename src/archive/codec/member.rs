//! Position and declared sizes of a member.

/// A member as its headers describe it, before it is decompressed. Its sizes are plausible together, and it ends within
/// the file.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    /// Where it starts in the file.
    pub(crate) at: u64,
    /// Its size in the file.
    pub(crate) packed: u32,
    /// How many bytes it claims to hold.
    pub(crate) unpacked: u32,
}

impl Member {
    /// Returns where the next member starts.
    pub(crate) fn end(&self) -> u64 {
        self.at + u64::from(self.packed)
    }
}
