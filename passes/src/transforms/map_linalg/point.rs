//! Ops on single values: a thread of a block of one. Host code may not touch them, for they are in device memory as all tensors are.

use super::{generic::Generic, splice::Kernel, text::Text};

/// Nothing if there is a loop.
pub(super) fn kernel(generic: &Generic<'_, '_>) -> Option<Kernel> {
    let outputs = &generic.operands[generic.inputs..];
    let fits =
        generic.parallel.is_empty() && !outputs.is_empty() && outputs.iter().all(|output| output.is_memref);
    fits.then(|| Kernel { text: write(generic), combiner: None })
}

fn write(generic: &Generic<'_, '_>) -> String {
    let mut text = Text::new(generic);
    text.put(
        "gpu.launch blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1) \
         threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {",
    );
    let operands = text.read();
    let read: Vec<String> = operands.into_iter().map(|operand| text.load(operand, &[])).collect();
    let values = text.compute(&[], &read);
    for (value, output) in values.iter().zip(generic.inputs..) {
        text.store(value, output, &[]);
    }
    text.put("gpu.terminator\n}");
    text.finish()
}
