// What the C APIs of MLIR and LLVM do not offer: LLVM IR -> LLVM dialect, parsing a module under its file's name, the
// types in debug information, names and assembly in a module, an option of target machines, and the assembler.

#include "mlir-c/IR.h"
#include "mlir/CAPI/IR.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Target/LLVMIR/Import.h"
#include "llvm-c/TargetMachine.h"
#include "llvm-c/Types.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCAsmBackend.h"
#include "llvm/MC/MCCodeEmitter.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCObjectFileInfo.h"
#include "llvm/MC/MCObjectWriter.h"
#include "llvm/MC/MCParser/MCAsmParser.h"
#include "llvm/MC/MCParser/MCTargetAsmParser.h"
#include "llvm/MC/MCStreamer.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/Cloning.h"

namespace {

using llvm::DIDerivedType;
using llvm::DIType;

// The type in the words of its author, typedefs kept.
std::string spell(const DIType *type) {
  if (!type)
    return "void";
  const auto *derived = llvm::dyn_cast<DIDerivedType>(type);
  if (!derived || type->getTag() == llvm::dwarf::DW_TAG_typedef)
    return type->getName().empty() ? "struct" : type->getName().str();
  const DIType *base = derived->getBaseType();
  bool ofPointer = base && (base->getTag() == llvm::dwarf::DW_TAG_pointer_type ||
                               base->getTag() == llvm::dwarf::DW_TAG_restrict_type);
  switch (type->getTag()) {
  case llvm::dwarf::DW_TAG_pointer_type:
    return spell(base) + " *";
  case llvm::dwarf::DW_TAG_reference_type:
    return spell(base) + " &";
  case llvm::dwarf::DW_TAG_restrict_type:
    return spell(base) + "restrict";
  case llvm::dwarf::DW_TAG_const_type:
    return ofPointer ? spell(base) + " const" : "const " + spell(base);
  case llvm::dwarf::DW_TAG_volatile_type:
    return ofPointer ? spell(base) + " volatile" : "volatile " + spell(base);
  default:
    return spell(base);
  }
}

// Takes off what does not change how a value is passed.
const DIType *canonical(const DIType *type, bool &constant) {
  while (const auto *derived = llvm::dyn_cast_or_null<DIDerivedType>(type)) {
    switch (type->getTag()) {
    case llvm::dwarf::DW_TAG_const_type:
      constant = true;
      [[fallthrough]];
    case llvm::dwarf::DW_TAG_typedef:
    case llvm::dwarf::DW_TAG_volatile_type:
    case llvm::dwarf::DW_TAG_restrict_type:
    case llvm::dwarf::DW_TAG_atomic_type:
      type = derived->getBaseType();
      continue;
    default:
      return type;
    }
  }
  return type;
}

std::string classOf(const DIType *type) {
  if (!type)
    return "void\t0";
  const auto *basic = llvm::dyn_cast<llvm::DIBasicType>(type);
  if (!basic)
    return "other\t0";
  const char *name = "other";
  switch (basic->getEncoding()) {
  case llvm::dwarf::DW_ATE_float:
    name = basic->getName() == "__bf16" ? "bfloat" : "float";
    break;
  case llvm::dwarf::DW_ATE_signed:
  case llvm::dwarf::DW_ATE_signed_char:
    name = "signed";
    break;
  case llvm::dwarf::DW_ATE_unsigned:
  case llvm::dwarf::DW_ATE_unsigned_char:
    name = "unsigned";
    break;
  case llvm::dwarf::DW_ATE_boolean:
    name = "bool";
    break;
  }
  return std::string(name) + "\t" + std::to_string(basic->getSizeInBits());
}

std::string describe(const DIType *type) {
  std::string text = spell(type) + "\t";
  bool constant = false;
  const DIType *plain = canonical(type, constant);
  const auto *pointer = llvm::dyn_cast_or_null<DIDerivedType>(plain);
  if (!pointer || pointer->getTag() != llvm::dwarf::DW_TAG_pointer_type)
    return text + "0\t0\t" + classOf(plain) + "\n";
  constant = false;
  const DIType *element = canonical(pointer->getBaseType(), constant);
  return text + "1\t" + (constant ? "1" : "0") + "\t" + classOf(element) + "\n";
}

std::string describe(const llvm::Type *type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  type->print(stream);
  if (type->isPointerTy())
    return text + "\t1\t0\t\t0\n";
  const char *name = type->isVoidTy() ? "void" : type->isFloatingPointTy() ? "float" : "other";
  // An LLVM integer has no sign.
  if (type->isIntegerTy())
    name = "signed";
  return text + "\t0\t0\t" + name + "\t" + std::to_string(type->getPrimitiveSizeInBits()) + "\n";
}

} // namespace

extern "C" {

// Lets `context` import the LLVM IR of every dialect that can be imported.
void kinstrRegisterLLVMImport(MlirContext context) {
  mlir::DialectRegistry registry;
  mlir::registerAllFromLLVMIRTranslations(registry);
  unwrap(context)->appendDialectRegistry(registry);
}

// A builtin.module owned by the caller, or null; locations name `name`. mlirOperationCreateParse wants one
// operation and mlirModuleCreateParse takes no name; a file is neither.
MlirOperation kinstrParseModule(MlirStringRef source, MlirStringRef name, MlirContext context) {
  mlir::ParserConfig config(unwrap(context));
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::parseSourceString<mlir::ModuleOp>(llvm::StringRef(source.data, source.length), config,
          llvm::StringRef(name.data, name.length));
  if (!module)
    return MlirOperation{nullptr};
  return wrap(module.release().getOperation());
}

// A builtin.module owned by the caller, or null; errors go to the context's diagnostic handlers.
// `module` stays the caller's: the import works on a copy.
MlirOperation kinstrImportLLVMIR(LLVMModuleRef module, MlirContext context) {
  std::unique_ptr<llvm::Module> copy =
      llvm::CloneModule(*reinterpret_cast<llvm::Module *>(module));
  mlir::OwningOpRef<mlir::ModuleOp> imported = mlir::translateLLVMIRToModule(
      std::move(copy), unwrap(context), /*emitExpensiveWarnings=*/false,
      /*dropDICompositeTypeElements=*/false, /*loadAllDialects=*/false);
  if (!imported)
    return MlirOperation{nullptr};
  return wrap(imported.release().getOperation());
}

// A line for what the function returns and one for each parameter: TEXT, POINTER, CONSTANT, CLASS, BITS, separated by
// tabs. To be given to kinstrFree.
char *kinstrDescribeFunction(LLVMValueRef value) {
  const auto *function = reinterpret_cast<llvm::Function *>(value);
  std::string text;
  const llvm::DISubprogram *program = function->getSubprogram();
  const llvm::DISubroutineType *known = program ? program->getType() : nullptr;
  if (known && known->getTypeArray().size() > 0) {
    for (const DIType *type : known->getTypeArray())
      text += describe(type);
  } else {
    text += describe(function->getReturnType());
    for (const llvm::Argument &argument : function->args())
      text += describe(argument.getType());
  }
  return strdup(text.c_str());
}

void kinstrFree(char *text) { free(text); }

// Static constructors go where today's C libraries look for them, as clang's own go. To be called before emission.
void kinstrUseInitArray(LLVMTargetMachineRef machine) {
  reinterpret_cast<llvm::TargetMachine *>(machine)->Options.UseInitArray = true;
}

// Names of all functions, variables, aliases and ifuncs, one a line. To be given to kinstrFree.
char *kinstrSymbols(LLVMModuleRef module) {
  std::string text;
  for (const llvm::GlobalValue &value : reinterpret_cast<llvm::Module *>(module)->global_values())
    text += value.getName().str() + "\n";
  return strdup(text.c_str());
}

// The assembly in the module: its own, and that of its functions. To be given to kinstrFree.
char *kinstrAssemblyIn(LLVMModuleRef ref) {
  const auto *module = reinterpret_cast<llvm::Module *>(ref);
  std::string text = module->getModuleInlineAsm() + "\n";
  for (const llvm::Function &function : *module)
    for (const llvm::Instruction &instruction : llvm::instructions(function))
      if (const auto *call = llvm::dyn_cast<llvm::CallBase>(&instruction))
        if (const auto *assembly = llvm::dyn_cast<llvm::InlineAsm>(call->getCalledOperand()))
          text += assembly->getAsmString().str() + "\n";
  return strdup(text.c_str());
}

// Assembly of `machine`, as LLVM printed it, to an object: its bytes are handed to `take`. Null, or what is wrong with
// the assembly, to be given to kinstrFree.
char *kinstrAssemble(LLVMTargetMachineRef ref, const char *text, size_t length,
    void (*take)(void *, const char *, size_t), void *taker) {
  const auto *machine = reinterpret_cast<llvm::TargetMachine *>(ref);
  const llvm::Target &target = machine->getTarget();
  const llvm::Triple &triple = machine->getTargetTriple();
  const llvm::MCSubtargetInfo &subtarget = *machine->getMCSubtargetInfo();
  const llvm::MCTargetOptions &options = machine->Options.MCOptions;

  std::string errors;
  llvm::SourceMgr sources;
  // A copy, because the lexer reads on until it meets a NUL, which Rust's text does not end with.
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(text, length)), llvm::SMLoc());
  sources.setDiagHandler(
      [](const llvm::SMDiagnostic &said, void *errors) {
        if (said.getKind() == llvm::SourceMgr::DK_Error)
          *static_cast<std::string *>(errors) += said.getMessage().str() + "\n";
      },
      &errors);

  llvm::MCContext context(triple, machine->getMCAsmInfo(), machine->getMCRegisterInfo(), &subtarget, &sources, &options);
  std::unique_ptr<llvm::MCObjectFileInfo> file(target.createMCObjectFileInfo(context, /*PIC=*/true));
  context.setObjectFileInfo(file.get());

  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  std::unique_ptr<llvm::MCAsmBackend> backend(
      target.createMCAsmBackend(subtarget, *machine->getMCRegisterInfo(), options));
  std::unique_ptr<llvm::MCObjectWriter> writer = backend->createObjectWriter(out);
  std::unique_ptr<llvm::MCCodeEmitter> emitter(target.createMCCodeEmitter(*machine->getMCInstrInfo(), context));
  std::unique_ptr<llvm::MCStreamer> streamer(target.createMCObjectStreamer(
      triple, context, std::move(backend), std::move(writer), std::move(emitter), subtarget));
  std::unique_ptr<llvm::MCAsmParser> parser(
      llvm::createMCAsmParser(sources, context, *streamer, *machine->getMCAsmInfo()));
  std::unique_ptr<llvm::MCTargetAsmParser> targetParser(
      target.createMCAsmParser(subtarget, *parser, *machine->getMCInstrInfo(), options));
  if (!targetParser)
    return strdup("there is no assembler for this machine");
  parser->setTargetParser(*targetParser);
  if (parser->Run(/*NoInitialTextSection=*/false) || !errors.empty())
    return strdup(errors.empty() ? "the assembler gave no reason" : errors.c_str());
  take(taker, bytes.data(), bytes.size());
  return nullptr;
}
}
