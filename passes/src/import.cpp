// LLVM IR -> LLVM dialect, which MLIR's C API does not offer.

#include "mlir-c/IR.h"
#include "mlir/CAPI/IR.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
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
