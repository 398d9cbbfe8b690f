// What the C APIs of MLIR and LLVM do not offer: LLVM IR -> LLVM dialect, parsing a module under its file's name, and
// the types in debug information.

#include "mlir-c/IR.h"
#include "mlir/CAPI/IR.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Target/LLVMIR/Import.h"
#include "llvm-c/Types.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/Module.h"
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
}
