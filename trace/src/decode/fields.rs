//! Little-endian integers in a stretch of bytes.

/// Bytes that are read by offset; zero past the end, which callers rule out by what they read in.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    #[inline(always)]
    pub(super) fn bytes<const N: usize>(&self, offset: u64) -> [u8; N] {
        let tail = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..));
        tail.and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    #[inline(always)]
    pub(super) fn u32(&self, offset: u64) -> u32 {
        u32::from_le_bytes(self.bytes(offset))
    }

    #[inline(always)]
    pub(super) fn u64(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.bytes(offset))
    }

    /// The bytes from `begin` to `end`; none if they are not all there.
    pub(super) fn part(&self, begin: u64, end: u64) -> &[u8] {
        self.0.get(begin as usize..end as usize).unwrap_or_default()
    }
}
