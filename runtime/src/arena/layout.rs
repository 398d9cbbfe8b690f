//! Where each buffer of an arena lies.
//!
//! ```text
//! guard │ canary … │ data │ canary … │ guard │ canary … │ data │ …
//! ```
//! A guard is never accessible to the child. Canaries fill the accessible pages before and after the
//! data, at least [`CANARY_BYTES`] on each side; data lies as far right as [`DATA_ALIGNMENT`] allows,
//! so that a run past its end meets the guard soonest.

use serde::{Deserialize, Serialize};

/// Alignment of data in bytes: a cache line, and the widest vector.
pub const DATA_ALIGNMENT: usize = 64;
/// Least bytes of canary on each side of the data.
pub const CANARY_BYTES: usize = 256;
/// Bytes of inaccessible memory between buffers. They cost address space only, so they are wide
/// enough that being a row or a page off hits them too.
pub const GUARD_BYTES: usize = 1 << 20;

/// Which side of a kernel a buffer is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Read by the kernel; writing to it is a fault.
    Input,
    /// Written by the kernel.
    Output,
}

/// A buffer to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferSpec {
    /// Name, as the problem has it.
    pub name: String,
    /// Input or output.
    pub role: Role,
    /// Bytes of one element.
    pub element_bytes: usize,
    /// Elements; 0 is allowed.
    pub elements: usize,
}

/// A buffer that has been placed; offsets count from the arena's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// Name, as the problem has it.
    pub name: String,
    /// Input or output.
    pub role: Role,
    /// Bytes of one element.
    pub element_bytes: usize,
    /// Offset of the data.
    pub offset: usize,
    /// Bytes of the data.
    pub bytes: usize,
    /// First accessible byte, on a page boundary.
    pub pages_start: usize,
    /// End of the accessible bytes, on a page boundary.
    pub pages_end: usize,
}

impl Buffer {
    /// End of the data.
    pub fn end(&self) -> usize {
        self.offset + self.bytes
    }
}

/// All buffers of an arena. The child gets it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Bytes of the arena.
    pub bytes: usize,
    /// Buffers in the order they were given.
    pub buffers: Vec<Buffer>,
}

impl Layout {
    /// Places `specs` one after the other. `None` if the sizes overflow.
    pub fn new(specs: &[BufferSpec], page_bytes: usize) -> Option<Self> {
        let guard = GUARD_BYTES.next_multiple_of(page_bytes);
        let mut start = guard;
        let mut buffers = Vec::with_capacity(specs.len());
        for spec in specs {
            let bytes = spec.element_bytes.checked_mul(spec.elements)?;
            let span = bytes.checked_add(2 * CANARY_BYTES + DATA_ALIGNMENT)?;
            let pages_end = start.checked_add(span.checked_next_multiple_of(page_bytes)?)?;
            let offset = (pages_end - CANARY_BYTES - bytes) & !(DATA_ALIGNMENT - 1);
            buffers.push(Buffer {
                name: spec.name.clone(),
                role: spec.role,
                element_bytes: spec.element_bytes,
                offset,
                bytes,
                pages_start: start,
                pages_end,
            });
            start = pages_end.checked_add(guard)?;
        }
        // A mapping of more than isize::MAX bytes cannot exist.
        (start <= isize::MAX as usize).then_some(Self { bytes: start, buffers })
    }

    /// The buffer whose data or surroundings `offset` is in or nearest to, and where it is: bytes
    /// before the data are negative, bytes from its end on count from 0.
    pub fn locate(&self, offset: usize) -> Option<(&Buffer, Place)> {
        let distance = |buffer: &Buffer| match buffer.place(offset) {
            Place::Inside(_) => 0,
            Place::Before(bytes) => bytes,
            Place::After(bytes) => bytes + 1,
        };
        let buffer = self.buffers.iter().min_by_key(|buffer| distance(buffer))?;
        (offset < self.bytes).then(|| (buffer, buffer.place(offset)))
    }
}

/// Where a byte is relative to a buffer's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// This many bytes into the data.
    Inside(usize),
    /// This many bytes before its first.
    Before(usize),
    /// This many bytes after its end; 0 is the first byte past it.
    After(usize),
}

impl Buffer {
    fn place(&self, offset: usize) -> Place {
        if offset < self.offset {
            Place::Before(self.offset - offset)
        } else if offset >= self.end() {
            Place::After(offset - self.end())
        } else {
            Place::Inside(offset - self.offset)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(sizes: &[usize]) -> Layout {
        let specs: Vec<_> = sizes
            .iter()
            .map(|&elements| BufferSpec {
                name: format!("b{elements}"),
                role: Role::Output,
                element_bytes: 4,
                elements,
            })
            .collect();
        Layout::new(&specs, 4096).unwrap()
    }

    #[test]
    fn data_is_aligned_and_has_canaries_on_both_sides() {
        for buffer in layout(&[0, 1, 15, 1024, 900, 12345]).buffers {
            assert_eq!(buffer.offset % DATA_ALIGNMENT, 0);
            assert!(buffer.offset - buffer.pages_start >= CANARY_BYTES);
            assert!(buffer.pages_end - buffer.end() >= CANARY_BYTES);
            assert!(buffer.pages_end - buffer.end() < CANARY_BYTES + DATA_ALIGNMENT);
            assert_eq!((buffer.pages_start % 4096, buffer.pages_end % 4096), (0, 0));
        }
    }

    #[test]
    fn a_byte_is_located_by_the_nearest_buffer() {
        let layout = layout(&[16, 32]);
        let first = &layout.buffers[0];
        assert_eq!(layout.locate(first.end()).unwrap(), (first, Place::After(0)));
        assert_eq!(layout.locate(first.offset + 5).unwrap(), (first, Place::Inside(5)));
        let second = &layout.buffers[1];
        assert_eq!(layout.locate(second.offset - 8).unwrap(), (second, Place::Before(8)));
        assert_eq!(layout.locate(layout.bytes), None);
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        let spec =
            BufferSpec { name: "x".into(), role: Role::Input, element_bytes: 8, elements: usize::MAX / 8 };
        assert_eq!(Layout::new(&[spec], 4096), None);
    }
}
