//! Where C is met: the few MLIR and LLVM entry points that melior and inkwell do not wrap.

use inkwell::{
    llvm_sys::{
        LLVMDiagnosticSeverity,
        core::{LLVMDisposeMessage, LLVMGetDiagInfoDescription, LLVMGetDiagInfoSeverity},
        error_handling::LLVMInstallFatalErrorHandler,
        prelude::{LLVMDiagnosticInfoRef, LLVMModuleRef, LLVMValueRef},
        target_machine::LLVMTargetMachineRef,
    },
    targets::TargetMachine,
    values::{AsValueRef, FunctionValue},
};
use melior::{
    Context, StringRef,
    ir::{
        AttributeLike, Module, Operation, OperationRef,
        attribute::{FlatSymbolRefAttribute, StringAttribute},
        operation::OperationRefMut,
    },
};
use mlir_sys::{
    MlirContext, MlirOperation, MlirStringRef, mlirFlatSymbolRefAttrGetValue, mlirStringAttrGetValue,
};
use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_void},
    sync::OnceLock,
};

unsafe extern "C" {
    fn kinstrRegisterLLVMImport(context: MlirContext);
    fn kinstrParseModule(source: MlirStringRef, name: MlirStringRef, context: MlirContext) -> MlirOperation;
    fn kinstrImportLLVMIR(module: LLVMModuleRef, context: MlirContext) -> MlirOperation;
    fn kinstrDescribeFunction(function: LLVMValueRef) -> *mut c_char;
    fn kinstrFree(text: *mut c_char);
    fn kinstrFunctionName(symbol: *const c_char) -> *mut c_char;
    fn kinstrUseInitArray(machine: LLVMTargetMachineRef);
    fn kinstrSymbols(module: LLVMModuleRef) -> *mut c_char;
    fn kinstrAssemblyIn(module: LLVMModuleRef) -> *mut c_char;
    fn kinstrAssemble(
        machine: LLVMTargetMachineRef,
        text: *const c_char,
        length: usize,
        take: unsafe extern "C" fn(*mut c_void, *const c_char, usize),
        taker: *mut c_void,
    ) -> *mut c_char;
}

/// What a string attribute says. MLIR takes any bytes, of which melior's own accessor takes none that are not UTF-8; here
/// they become replacement characters.
pub fn string_value(attribute: StringAttribute<'_>) -> String {
    // SAFETY: the attribute is a string, as its type says, and what it says lives as long as its context.
    unsafe { text_of(mlirStringAttrGetValue(attribute.to_raw())) }
}

/// The name in a reference to a symbol, as [`string_value`] gives it.
pub fn symbol_value(attribute: FlatSymbolRefAttribute<'_>) -> String {
    // SAFETY: as above.
    unsafe { text_of(mlirFlatSymbolRefAttrGetValue(attribute.to_raw())) }
}

/// # Safety
/// `text` must be of memory that is there, unless it is empty: of empty texts MLIR keeps no address.
unsafe fn text_of(text: MlirStringRef) -> String {
    if text.length == 0 {
        return String::new();
    }
    // SAFETY: the caller's word.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.length) };
    String::from_utf8_lossy(bytes).into_owned()
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

/// One parameter or result of a function, from its debug information, or from its LLVM type where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Described {
    /// The type as it was written, e.g. `const float *restrict`; in LLVM's words without debug information.
    pub text: String,
    /// True for a pointer to what the other fields describe.
    pub pointer: bool,
    /// True for a pointer to what may not be written.
    pub constant: bool,
    /// `float`, `bfloat`, `signed`, `unsigned`, `bool`, `void`; `other` for what is none of these, and empty where
    /// nothing is known.
    pub class: String,
    /// Bits of it, 0 where nothing is known.
    pub bits: u64,
}

/// What a function returns, then what it takes.
pub fn describe_function(function: FunctionValue<'_>) -> Vec<Described> {
    // SAFETY: the function is live, and the shim answers a string of its own.
    let text = unsafe { take_text(kinstrDescribeFunction(function.as_value_ref())) };
    text.lines().map(described).collect()
}

/// Copies a string of the shim's and gives it back.
///
/// # Safety
/// `raw` is a NUL-terminated string that the shim allocated and that nobody has given back.
unsafe fn take_text(raw: *mut c_char) -> String {
    // SAFETY: as the caller promises.
    unsafe {
        let text = CStr::from_ptr(raw).to_string_lossy().into_owned();
        kinstrFree(raw);
        text
    }
}

/// The name of the C++ function that `symbol` is, without its parameters: `ns::f` for `_ZN2ns1fEv`.
pub fn function_name(symbol: &str) -> Option<String> {
    let symbol = CString::new(symbol).ok()?;
    // SAFETY: the string lives through the call; the shim answers null or a string of its own.
    unsafe {
        let name = kinstrFunctionName(symbol.as_ptr());
        if name.is_null() { None } else { Some(take_text(name)) }
    }
}

/// Names of all functions, variables and aliases of `module`.
pub fn symbols(module: &inkwell::module::Module<'_>) -> Vec<String> {
    // SAFETY: the module is live, and the shim answers a string of its own.
    let text = unsafe { take_text(kinstrSymbols(module.as_mut_ptr())) };
    text.lines().map(str::to_owned).collect()
}

/// The assembly that `module` holds: its own, and that of its functions.
pub fn assembly_in(module: &inkwell::module::Module<'_>) -> String {
    // SAFETY: the module is live, and the shim answers a string of its own.
    unsafe { take_text(kinstrAssemblyIn(module.as_mut_ptr())) }
}

/// Makes static constructors entries of `.init_array`. LLVM's C API leaves them in `.ctors`, which no C library of today
/// runs.
pub fn use_init_array(machine: &TargetMachine) {
    // SAFETY: the machine is live and nobody else's.
    unsafe { kinstrUseInitArray(machine.as_mut_ptr()) }
}

/// The object that `assembly` for `machine` describes.
///
/// # Errors
/// What the assembler says of it.
pub fn assemble(machine: &TargetMachine, assembly: &str) -> Result<Vec<u8>, String> {
    let mut object: Vec<u8> = Vec::new();
    // SAFETY: machine and text live through the call, and `take_bytes` is handed the vector that it expects; the shim
    // answers null or a string of its own.
    unsafe {
        let error = kinstrAssemble(
            machine.as_mut_ptr(),
            assembly.as_ptr().cast(),
            assembly.len(),
            take_bytes,
            (&raw mut object).cast(),
        );
        if error.is_null() { Ok(object) } else { Err(take_text(error)) }
    }
}

unsafe extern "C" fn take_bytes(taker: *mut c_void, bytes: *const c_char, length: usize) {
    // SAFETY: the shim hands back the vector of `assemble`, and `length` bytes that live through this call.
    unsafe {
        let taker = &mut *taker.cast::<Vec<u8>>();
        taker.extend_from_slice(std::slice::from_raw_parts(bytes.cast(), length));
    }
}

/// `TEXT\tPOINTER\tCONSTANT\tCLASS\tBITS`, the flags as 0 or 1.
fn described(line: &str) -> Described {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    Described {
        text: next().to_owned(),
        pointer: next() == "1",
        constant: next() == "1",
        class: next().to_owned(),
        bits: next().parse().unwrap_or(0),
    }
}

thread_local! {
    static LLVM_ERRORS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// An LLVM context whose errors are kept for [`take_llvm_errors`]. In any other, an error of the back end ends the
/// process.
pub fn create_llvm_context() -> inkwell::context::Context {
    let context = inkwell::context::Context::create();
    // SAFETY: the context is live, and the handler needs no data of its own.
    unsafe {
        inkwell::llvm_sys::core::LLVMContextSetDiagnosticHandler(
            context.raw(),
            Some(keep_llvm_error),
            std::ptr::null_mut(),
        );
    }
    context
}

/// What LLVM called an error on this thread since the last call.
pub fn take_llvm_errors() -> Vec<String> {
    LLVM_ERRORS.with_borrow_mut(std::mem::take)
}

/// Remarks and warnings, of which optimised code has many, are not kept.
extern "C" fn keep_llvm_error(diagnostic: LLVMDiagnosticInfoRef, _data: *mut c_void) {
    // SAFETY: LLVM hands over a live diagnostic; the description is a C string that is ours to dispose of.
    unsafe {
        if !matches!(LLVMGetDiagInfoSeverity(diagnostic), LLVMDiagnosticSeverity::LLVMDSError) {
            return;
        }
        let raw = LLVMGetDiagInfoDescription(diagnostic);
        let text = CStr::from_ptr(raw).to_string_lossy().into_owned();
        LLVMDisposeMessage(raw);
        LLVM_ERRORS.with_borrow_mut(|errors| errors.push(text));
    }
}

static ON_FATAL: OnceLock<fn(&str) -> !> = OnceLock::new();

/// Makes `handler` the last to run when LLVM cannot go on, in place of LLVM's own way of ending the process.
pub fn on_fatal_llvm_error(handler: fn(&str) -> !) {
    if ON_FATAL.set(handler).is_ok() {
        // SAFETY: the handler is a function of this program and does not return; installed once, as LLVM demands.
        unsafe { LLVMInstallFatalErrorHandler(Some(fatal)) };
    }
}

extern "C" fn fatal(reason: *const c_char) {
    // SAFETY: LLVM hands over a C string.
    let reason = unsafe { CStr::from_ptr(reason) }.to_string_lossy();
    if let Some(handler) = ON_FATAL.get() {
        handler(&reason)
    }
}
