// What MLIR's C API does not offer: LLVM IR -> LLVM dialect, and parsing a module under its file's name.

#include "mlir-c/IR.h"
#include "mlir/CAPI/IR.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Target/LLVMIR/Import.h"
#include "llvm-c/Types.h"
#include "llvm/IR/Module.h"
#include "llvm/Transforms/Utils/Cloning.h"

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
}
