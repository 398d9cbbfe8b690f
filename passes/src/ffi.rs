//! Where C is met: the few MLIR and LLVM entry points that melior and inkwell do not wrap.

use inkwell::llvm_sys::prelude::LLVMModuleRef;
use melior::{
    Context, StringRef,
    ir::{Module, Operation, OperationRef, operation::OperationRefMut},
};
use mlir_sys::{MlirContext, MlirOperation, MlirStringRef};
use std::ffi::CString;

unsafe extern "C" {
    fn kinstrRegisterLLVMImport(context: MlirContext);
    fn kinstrParseModule(source: MlirStringRef, name: MlirStringRef, context: MlirContext) -> MlirOperation;
    fn kinstrImportLLVMIR(module: LLVMModuleRef, context: MlirContext) -> MlirOperation;
}

/// Parses a module; locations name `source_name`. `None` after MLIR has reported why to the context's
/// diagnostic handlers, or if `source` holds a NUL byte.
pub fn parse_module<'c>(context: &'c Context, source: &str, source_name: &str) -> Option<Module<'c>> {
    let source = CString::new(source).ok()?;
    let name = CString::new(source_name).ok()?;
    // SAFETY: both strings live through the call and are NUL-terminated, as MLIR's parser demands; a null
    // result is turned into `None`, and a non-null one is an operation that we own.
    let operation = unsafe {
        Operation::from_option_raw(kinstrParseModule(
            StringRef::from_c_str(&source).to_raw(),
            StringRef::from_c_str(&name).to_raw(),
            context.to_raw(),
        ))
    }?;
    Module::from_operation(operation)
}

/// A mutable view of an operation found by walking. The caller holds the module mutably.
pub fn make_mut<'c, 'a>(operation: OperationRef<'c, 'a>) -> OperationRefMut<'c, 'a> {
    // SAFETY: the raw operation is live as long as 'a, and MLIR itself knows no const operations.
    unsafe { OperationRefMut::from_raw(operation.to_raw()) }
}

/// Lets `context` import LLVM IR.
pub fn register_llvm_import(context: &Context) {
    // SAFETY: the context is live; registering twice is allowed.
    unsafe { kinstrRegisterLLVMImport(context.to_raw()) }
}

/// LLVM dialect under a `builtin.module` or `gpu.module` → LLVM IR in `llvm`. `None` after MLIR has reported why.
pub fn translate_to_llvm_ir<'l>(
    module: OperationRef<'_, '_>,
    llvm: &'l inkwell::context::Context,
) -> Option<inkwell::module::Module<'l>> {
    // SAFETY: mlir-sys and llvm-sys are linked against one LLVM, so the contexts and modules are of one
    // type; the returned module is owned by us and lives in `llvm`, which outlives 'l.
    unsafe {
        let raw = mlir_sys::mlirTranslateModuleToLLVMIR(
            module.to_raw(),
            mlir_sys::LLVMContextRef::from(llvm.raw().cast()),
        );
        if raw.is_null() { None } else { Some(inkwell::module::Module::new(raw.cast())) }
    }
}

/// LLVM IR → LLVM dialect, from a copy of `module`. `None` after MLIR has reported why.
pub fn import_llvm_ir<'c>(context: &'c Context, module: &inkwell::module::Module<'_>) -> Option<Module<'c>> {
    // SAFETY: both are live; the shim clones the LLVM module and gives us the new operation.
    let operation =
        unsafe { Operation::from_option_raw(kinstrImportLLVMIR(module.as_mut_ptr(), context.to_raw())) }?;
    Module::from_operation(operation)
}

/// A deep copy of `module`.
pub fn clone_module<'c>(module: &Module<'c>) -> Module<'c> {
    // SAFETY: cloning a live module operation gives a module operation that we own; MLIR cannot return null
    // for the clone of a `builtin.module`.
    unsafe {
        let clone = mlir_sys::mlirOperationClone(module.as_operation().to_raw());
        Module::from_raw(mlir_sys::mlirModuleFromOperation(clone))
    }
}
