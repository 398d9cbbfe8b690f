//! Names for basic blocks, which the assembly's comments repeat.

use inkwell::{
    basic_block::BasicBlock,
    module::Module,
    values::{FunctionValue, Operand},
};
use std::collections::HashSet;

/// Names every block of every function `bbN`, N being its position among the blocks that can be reached: what
/// `block-count` calls it too, because MLIR imports exactly those and in this order.
pub fn name_blocks(module: &Module<'_>) {
    for function in module.get_functions() {
        let reachable = reachable(function);
        let blocks = function.get_basic_blocks();
        // Twice, because LLVM makes a name that another block still has unique by a suffix.
        blocks.iter().for_each(|block| block.set_name(""));
        let kept = blocks.iter().filter(|block| reachable.contains(block));
        kept.enumerate().for_each(|(index, block)| block.set_name(&format!("bb{index}")));
    }
}

fn reachable<'l>(function: FunctionValue<'l>) -> HashSet<BasicBlock<'l>> {
    let mut reached = HashSet::new();
    let mut open: Vec<BasicBlock<'l>> = function.get_first_basic_block().into_iter().collect();
    while let Some(block) = open.pop() {
        if reached.insert(block) {
            open.extend(successors(block));
        }
    }
    reached
}

fn successors(block: BasicBlock<'_>) -> Vec<BasicBlock<'_>> {
    let Some(terminator) = block.get_terminator() else { return Vec::new() };
    terminator.get_operands().flatten().filter_map(Operand::block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use inkwell::{context::Context, memory_buffer::MemoryBuffer};

    #[test]
    fn reachable_blocks_are_numbered_and_others_get_no_number() {
        let text = "define void @f(i1 %c) {\nfirst:\n  br i1 %c, label %bb0, label %last\n\
                    lost:\n  br label %last\nbb0:\n  br label %last\nlast:\n  ret void\n}\n";
        let context = Context::create();
        let buffer = MemoryBuffer::create_from_memory_range_copy(text.as_bytes(), "f");
        let module = context.create_module_from_ir(buffer).unwrap();
        name_blocks(&module);
        let blocks = module.get_function("f").unwrap().get_basic_blocks();
        let names: Vec<_> = blocks.iter().map(|block| block.get_name().to_str().unwrap()).collect();
        assert_eq!(names, ["bb0", "", "bb1", "bb2"]);
    }
}
