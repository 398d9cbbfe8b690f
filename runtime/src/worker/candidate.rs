//! A candidate's library and the arguments of its entry.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::protocol::{Argument, Refusal, RefusalKind};
use super::renew::Renewal;
use crate::arena::Layout;
use crate::shared::Mapping;

type Entry = unsafe extern "C" fn(*mut *mut c_void);

/// A loaded library, bound to its arguments. It is never unloaded: threads it started may still run.
pub(super) struct Candidate {
    handle: *mut c_void,
    entry: Entry,
    bound: Bound,
    /// The same with tensors at other addresses.
    second: Option<Bound>,
    arguments: Vec<Argument>,
    arena: Mapping,
    layout: Layout,
}

/// Arguments as the entry takes them.
struct Bound {
    /// Storage that the pointers point into; words, so that it is aligned.
    _storage: Vec<Vec<u64>>,
    pointers: Vec<*mut c_void>,
}

impl Bound {
    /// `arguments` with each buffer's data at its address.
    fn new(arguments: &[Argument], addresses: &[u64], layout: &Layout) -> Result<Self, Refusal> {
        let mut storage = arguments
            .iter()
            .map(|argument| store(argument, addresses, layout))
            .collect::<Result<Vec<_>, _>>()?;
        let pointers = storage.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
        Ok(Self { _storage: storage, pointers })
    }
}

impl Candidate {
    /// Loads `library` and binds `arguments` to buffers of the mapped arena, or to memory at `addresses` that stands
    /// for them.
    pub(super) fn load(
        library: &Path,
        entry: &str,
        arguments: &[Argument],
        arena: Mapping,
        layout: &Layout,
        addresses: Option<Vec<u64>>,
    ) -> Result<Self, Refusal> {
        let addresses = addresses.unwrap_or_else(|| in_arena(&arena, layout));
        let bound = Bound::new(arguments, &addresses, layout)?;
        let handle = open(library)?;
        let Some(address) = find(handle, entry)? else {
            let message = format!("`{}` has no function `{entry}`", library.display());
            return Err(Refusal::new(RefusalKind::NoEntry, message));
        };
        // SAFETY: the library's builder gave the symbol this signature; that is the contract of
        // `ENTRY_SYMBOL`, and a library that breaks it harms only this process.
        let entry = unsafe { std::mem::transmute::<*mut c_void, Entry>(address) };
        let arguments = arguments.to_vec();
        Ok(Self { handle, entry, bound, second: None, arguments, arena, layout: layout.clone() })
    }

    /// Calls the entry `calls` times.
    pub(super) fn run(&mut self, calls: u32) {
        call(self.entry, &mut self.bound.pointers, calls);
    }

    /// Binds its arguments to tensors at other addresses too.
    pub(super) fn bind_second(&mut self, addresses: &[u64]) -> Result<(), Refusal> {
        self.second = Some(Bound::new(&self.arguments, addresses, &self.layout)?);
        Ok(())
    }

    /// Calls the entry once, with the second tensors if there are some and it is to.
    pub(super) fn run_with(&mut self, second: bool) {
        let bound = self.second.as_mut().filter(|_| second).unwrap_or(&mut self.bound);
        call(self.entry, &mut bound.pointers, 1);
    }

    /// The arena it was loaded with.
    pub(super) fn arena(&self) -> &Mapping {
        &self.arena
    }

    /// The bytes of its tensors. No call of it may run while they are looked at.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &[u8]> {
        self.layout.buffers.iter().map(|buffer| {
            let start = self.arena.address().wrapping_add(buffer.offset);
            // SAFETY: the layout lies inside the mapping, which lives as long as `self`; inputs and outputs can be read.
            unsafe { std::slice::from_raw_parts(start, buffer.bytes) }
        })
    }

    /// Its tensors, to be renewed between calls.
    pub(super) fn renewal(&self, rotate: &[usize]) -> Renewal<'_> {
        Renewal::new(&self.arena, &self.layout, rotate)
    }

    /// Address of the exported variable `name`.
    pub(super) fn variable(&self, name: &str) -> Result<Option<*mut c_void>, Refusal> {
        find(self.handle, name)
    }
}

/// A page of the stack.
#[repr(align(4096))]
struct Page(#[allow(dead_code, reason = "it is there for its place")] [u8; 4096]);

/// Calls `entry` from the same place in a page of the stack, whatever is below it. Where the system puts a stack is
/// chance, and chance decides whether a spilled vector lies across two cache lines: equal kernels were seen to differ by
/// 30 % from one process to the next.
#[inline(never)]
fn call(entry: Entry, arguments: &mut [*mut c_void], calls: u32) {
    // Aligned like its strictest local, the frame begins at a page, and so does what it calls.
    let page = Page([0; 4096]);
    std::hint::black_box(&page);
    for _ in 0..calls {
        // SAFETY: the arguments point to live storage of the layout the entry expects. What the
        // candidate does with them is its own affair, and why it runs in a process of its own.
        unsafe { entry(arguments.as_mut_ptr()) };
    }
    std::hint::black_box(&page);
}

/// Addresses of the arena's own buffers.
fn in_arena(arena: &Mapping, layout: &Layout) -> Vec<u64> {
    layout.buffers.iter().map(|buffer| arena.address() as u64 + buffer.offset as u64).collect()
}

/// The words that `args[i]` points to.
fn store(argument: &Argument, addresses: &[u64], layout: &Layout) -> Result<Vec<u64>, Refusal> {
    match argument {
        Argument::Memref { buffer, shape } => descriptor(*buffer, shape, addresses, layout),
        Argument::Pointer { buffer } => {
            addresses.get(*buffer).map(|address| vec![*address]).ok_or_else(no_buffer)
        }
        Argument::Scalar { bytes } if bytes.len() <= 16 => Ok(words(bytes)),
        Argument::Scalar { .. } => Err(bad_request("a scalar has at most 16 bytes")),
    }
}

fn descriptor(buffer: usize, shape: &[i64], addresses: &[u64], layout: &Layout) -> Result<Vec<u64>, Refusal> {
    let data = *addresses.get(buffer).ok_or_else(no_buffer)?;
    let buffer = layout.buffers.get(buffer).ok_or_else(no_buffer)?;
    let elements = shape.iter().try_fold(1_i64, |elements, size| elements.checked_mul((*size).max(0)));
    let bytes = elements.and_then(|elements| elements.checked_mul(buffer.element_bytes as i64));
    if bytes != Some(buffer.bytes as i64) {
        return Err(bad_request(&format!("shape {shape:?} does not fill buffer `{}`", buffer.name)));
    }
    let sizes = shape.iter().map(|size| *size as u64);
    let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product::<i64>() as u64);
    Ok([data, data, 0].into_iter().chain(sizes).chain(strides).collect())
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let mut padded = [0; 16];
    padded[..bytes.len()].copy_from_slice(bytes);
    let value = u128::from_ne_bytes(padded);
    vec![value as u64, (value >> 64) as u64]
}

fn open(library: &Path) -> Result<*mut c_void, Refusal> {
    let path =
        CString::new(library.as_os_str().as_bytes()).map_err(|_| bad_request("a path with a zero byte"))?;
    // SAFETY: `path` is a C string. The library's constructors run here, in this process only.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(Refusal::new(RefusalKind::DoesNotLoad, last_error()));
    }
    Ok(handle)
}

fn find(handle: *mut c_void, name: &str) -> Result<Option<*mut c_void>, Refusal> {
    let name = CString::new(name).map_err(|_| bad_request("a name with a zero byte"))?;
    // SAFETY: the handle is open and `name` is a C string.
    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
    Ok((!address.is_null()).then_some(address))
}

fn last_error() -> String {
    // SAFETY: dlerror answers null or a C string that is valid until the next call on this thread.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            "unknown error".into()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

fn no_buffer() -> Refusal {
    bad_request("there is no such buffer")
}

fn bad_request(message: &str) -> Refusal {
    Refusal::new(RefusalKind::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes where its frame lies to its first argument.
    unsafe extern "C" fn where_it_lies(arguments: *mut *mut c_void) {
        let local = 0_u8;
        let address = std::hint::black_box(&raw const local) as usize;
        // SAFETY: the test passes one argument that points to a usize.
        unsafe { (*arguments).cast::<usize>().write(address) };
    }

    /// Place in its page of the callee's frame, from below `depth` frames of this function.
    fn place(depth: usize) -> usize {
        if depth > 0 {
            return std::hint::black_box(place(std::hint::black_box(depth - 1)));
        }
        let mut address = 0_usize;
        call(where_it_lies, &mut [(&raw mut address).cast()], 1);
        address % 4096
    }

    #[test]
    fn the_entry_finds_its_stack_at_the_same_place_in_a_page() {
        let first = place(0);
        assert!((1..40).all(|depth| place(depth) == first));
        assert_eq!(std::thread::spawn(|| place(3)).join().unwrap(), first);
    }
}
