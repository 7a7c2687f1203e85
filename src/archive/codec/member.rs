//! Where a member lies and what it claims to hold.

/// A member as the codec describes it, before it was read. Its sizes are possible together, and it ends within the
/// file.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    /// Where it begins in the file.
    pub(crate) at: u64,
    /// Its size in the file.
    pub(crate) packed: u32,
    /// How many bytes it claims to hold.
    pub(crate) unpacked: u32,
}

impl Member {
    /// Returns where the next member begins.
    pub(crate) fn end(&self) -> u64 {
        self.at + u64::from(self.packed)
    }
}
