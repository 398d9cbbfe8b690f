//! Memory shared between kinstr and a child process through an inherited file descriptor.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

/// Bytes of a page.
pub fn page_bytes() -> usize {
    // SAFETY: sysconf reads a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// What a mapping may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: touching it is a fault.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

impl Access {
    const fn protection(self) -> libc::c_int {
        match self {
            Self::None => libc::PROT_NONE,
            Self::Read => libc::PROT_READ,
            Self::Write => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

/// Anonymous memory behind a descriptor. Its size is sealed, so that a child that shares it cannot
/// shrink it under the parent.
#[derive(Debug)]
pub struct Memory {
    file: OwnedFd,
    mapping: Mapping,
}

impl Memory {
    /// `bytes` zeroed bytes, mapped for writing. Pages that are never touched cost nothing.
    ///
    /// # Errors
    /// When the system has no memory or address space left.
    pub fn new(bytes: usize) -> io::Result<Self> {
        Self::of(Self::reserve()?, bytes)
    }

    /// Memory of no size yet, for a child that is started before the size is known.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn reserve() -> io::Result<OwnedFd> {
        // SAFETY: the name is a C string literal; a non-negative answer is a new descriptor.
        unsafe {
            let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
            Ok(OwnedFd::from_raw_fd(check(libc::memfd_create(c"kinstr".as_ptr(), flags))?))
        }
    }

    /// As [`Memory::new`], in what was reserved.
    ///
    /// # Errors
    /// As [`Memory::new`].
    pub fn of(reserved: OwnedFd, bytes: usize) -> io::Result<Self> {
        let file = File::from(reserved);
        file.set_len(bytes as u64)?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: fcntl(F_ADD_SEALS) touches no memory.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
        let mapping = Mapping::new(file.as_fd(), bytes, Access::Write)?;
        Ok(Self { file: file.into(), mapping })
    }

    /// Makes all pages present at once, which costs less than a fault each. A kernel that cannot (before Linux 5.14) leaves
    /// them to be faulted in.
    pub fn populate(&self) {
        self.mapping.populate(0, self.mapping.len(), Access::Write);
    }

    /// The descriptor to hand to a child.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Our mapping.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// All bytes. A child that runs may write them meanwhile: read between its requests.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable for `len` bytes as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.mapping.address(), self.mapping.len()) }
    }

    /// All bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is writable for `len` bytes as long as `self` lives, and `&mut self`
        // makes this the only slice over it in this process.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.address(), self.mapping.len()) }
    }
}

/// A shared mapping of a descriptor, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and `Mapping` itself never dereferences.
unsafe impl Send for Mapping {}
// SAFETY: as above; what is behind its address is the owner's to share.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `fd`.
    ///
    /// # Errors
    /// When the descriptor does not allow the access or address space has run out.
    pub fn new(fd: BorrowedFd<'_>, len: usize, access: Access) -> io::Result<Self> {
        let protection = access.protection();
        // SAFETY: a new mapping at an address the kernel chooses overlaps nothing of ours.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at null"))?;
        Ok(Self { base, len })
    }

    /// Maps descriptor number `fd`, inherited from the parent.
    ///
    /// # Errors
    /// As [`Mapping::new`], and when the descriptor is not open.
    pub fn inherited(fd: RawFd, len: usize, access: Access) -> io::Result<Self> {
        if fd < 0 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        // SAFETY: the number is not -1, and nothing but mmap, which checks it, is done with it.
        Self::new(unsafe { BorrowedFd::borrow_raw(fd) }, len, access)
    }

    /// Changes the access of the pages `start..end`, both multiples of the page size.
    ///
    /// # Errors
    /// When the range does not lie within the mapping or the kernel refuses.
    pub fn protect(&self, start: usize, end: usize, access: Access) -> io::Result<()> {
        if start > end || end > self.len {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: the range lies within this mapping, which only this object protects.
        check(unsafe { libc::mprotect(self.address().add(start).cast(), end - start, access.protection()) })?;
        Ok(())
    }

    /// Makes the pages `start..end` present for an access that they allow, in parts at a time where they are many: the
    /// system clears pages at a few GB/s a thread.
    pub fn populate(&self, start: usize, end: usize, access: Access) {
        let advice = match access {
            Access::None => return,
            Access::Read => libc::MADV_POPULATE_READ,
            Access::Write => libc::MADV_POPULATE_WRITE,
        };
        in_parts(start..end.min(self.len), page_bytes(), |part| {
            let start = self.base.as_ptr().wrapping_add(part.start);
            // SAFETY: the range lies within this mapping, and its contents stay what they are.
            unsafe { libc::madvise(start.cast(), part.len(), advice) };
        });
    }

    /// First address.
    pub fn address(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Bytes mapped.
    #[allow(clippy::len_without_is_empty)] // an empty mapping cannot be made
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is what mmap gave, and nothing borrowed from `self` outlives it.
        unsafe { libc::munmap(self.address().cast(), self.len) };
    }
}

/// Bytes below which another thread is not worth while.
const PART: usize = 8 << 20;
/// Threads at most.
const MOST_PARTS: usize = 8;

/// Does `work` for parts of `range`, each but the last a multiple of `step` long, on a thread each.
pub(crate) fn in_parts(range: Range<usize>, step: usize, work: impl Fn(Range<usize>) + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = (range.len() / PART).clamp(1, MOST_PARTS.min(cores));
    if parts == 1 {
        return work(range);
    }
    let length = range.len().div_ceil(parts).next_multiple_of(step);
    std::thread::scope(|scope| {
        for start in range.clone().step_by(length) {
            let (work, end) = (&work, (start + length).min(range.end));
            scope.spawn(move || work(start..end));
        }
    });
}

fn check(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}
