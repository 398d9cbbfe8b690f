//! Loads and stores of the LLVM dialect, masked and indexed ones included.

use super::{assembly::Assembly, nvidia::copied_bytes, types::Shape};
use crate::ir::{device_name, name};
use kinstr_trace::sites::AccessKind;
use melior::ir::{OperationRef, Value, ValueLike, operation::OperationLike};

/// One load or store.
pub struct Access<'c, 'a> {
    /// Direction.
    pub kind: AccessKind,
    /// The address, or a vector of addresses if `indexed`.
    pub pointer: Value<'c, 'a>,
    /// Which lanes take part, if not all.
    pub mask: Option<Value<'c, 'a>>,
    /// What is moved.
    pub shape: Shape,
    /// Whether each element has an address of its own.
    pub indexed: bool,
}

impl Access<'_, '_> {
    /// Bytes moved at one address.
    pub fn width(&self) -> u32 {
        if self.indexed { self.shape.bytes() / self.shape.lanes.max(1) } else { self.shape.bytes() }
    }
}

/// The access that an atomic read-modify-write is, or the reading half of an asynchronous copy to shared memory: what device
/// code has besides loads and stores.
pub fn device_access_of<'c: 'a, 'a>(
    operation: OperationRef<'c, 'a>,
) -> Option<(Access<'c, 'a>, DeviceAccess)> {
    let (name, device) = (name(operation), device_name(operation));
    let is_atomic = ["llvm.atomicrmw", "llvm.cmpxchg"].contains(&name.as_str());
    if is_atomic {
        let shape = Shape::of_value(operation.operand(1).ok());
        let pointer = operation.operand(0).ok()?;
        let access = Access { kind: AccessKind::Store, pointer, mask: None, shape, indexed: false };
        return Some((access, DeviceAccess::Atomic));
    }
    if let Some(assembly) = Assembly::of(operation) {
        return assembly.device_access(operation);
    }
    let lanes = copied_bytes(device.strip_prefix("llvm.nvvm.")?)?;
    let (shape, pointer) = (Shape { lanes, element: "i8".to_owned() }, operation.operand(1).ok()?);
    let access = Access { kind: AccessKind::Load, pointer, mask: None, shape, indexed: false };
    Some((access, DeviceAccess::Copy))
}

/// See [`device_access_of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceAccess {
    /// An atomic read-modify-write.
    Atomic,
    /// A `cp.async`.
    Copy,
}

/// One direction of what an op moves.
pub(super) struct Moved<'c, 'a> {
    pub(super) kind: AccessKind,
    pub(super) pointer: Value<'c, 'a>,
    pub(super) bytes: u32,
    pub(super) lanes: u32,
    pub(super) indexed: bool,
}

/// The access that `operation` is, if it is one. Atomic read-modify-writes and block copies are none.
pub fn access_of<'c: 'a, 'a>(operation: OperationRef<'c, 'a>) -> Option<Access<'c, 'a>> {
    use AccessKind::{Load, Store};
    if let Some(assembly) = Assembly::of(operation) {
        return assembly.access(operation);
    }
    // (kind, a vector of pointers, masked); a store's operands begin with its value.
    let (kind, indexed, masked) = match name(operation).as_str() {
        "llvm.load" => (Load, false, false),
        "llvm.store" => (Store, false, false),
        "llvm.intr.masked.load" | "llvm.intr.masked.expandload" => (Load, false, true),
        "llvm.intr.masked.store" | "llvm.intr.masked.compressstore" => (Store, false, true),
        "llvm.intr.masked.gather" => (Load, true, true),
        "llvm.intr.masked.scatter" => (Store, true, true),
        _ => return None,
    };
    let first = usize::from(kind == Store);
    let shape = match kind {
        Load => Shape::of_type(operation.result(0).ok()?.r#type()),
        Store => Shape::of_value(operation.operand(0).ok()),
    };
    let mask = if masked { Some(operation.operand(first + 1).ok()?) } else { None };
    Some(Access { kind, pointer: operation.operand(first).ok()?, mask, shape, indexed })
}
