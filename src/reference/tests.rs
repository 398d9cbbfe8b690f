use super::*;
use crate::correctness::ToleranceSpec;
use crate::problem::{Extent, Workload};
use crate::tensor::DType;

/// A reference that writes the elements it is told to.
struct Partial {
    arena: Arena,
    written: usize,
}

impl ReferenceProcess for Partial {
    fn select(&mut self, _workload: usize) -> Result<(), ReferenceError> {
        Ok(())
    }

    fn arena(&self) -> &Arena {
        &self.arena
    }

    fn arena_mut(&mut self) -> &mut Arena {
        &mut self.arena
    }

    fn make_inputs(&mut self, _seed: Seed) -> Result<(), ReferenceError> {
        Ok(())
    }

    fn take_inputs(&mut self) -> Result<(), ReferenceError> {
        Ok(())
    }

    fn call(&mut self, _calls: u32, _store: bool) -> Result<Duration, ReferenceError> {
        let nan = f32::NAN.to_le_bytes();
        self.arena.bytes_mut(0)[..4 * self.written].chunks_exact_mut(4).for_each(|e| e.copy_from_slice(&nan));
        Ok(Duration::ZERO)
    }

    fn kill(&mut self) {}

    fn versions(&self) -> &[String] {
        &[]
    }

    fn isolation(&self) -> &[&'static str] {
        &[]
    }
}

fn evaluate(written: usize) -> Result<(), ReferenceError> {
    let problem = Problem {
        name: "partial".into(),
        path: "problem.toml".into(),
        axes: vec![],
        inputs: vec![],
        outputs: vec![Output { name: "y".into(), dtype: DType::F32, shape: vec![Extent::Fixed(4)] }],
        reference: ReferenceSource::Mlir { path: "reference.mlir".into(), entry: None },
        tolerance: ToleranceSpec::Auto,
        workloads: vec![Workload { name: "default".into(), axes: vec![] }],
        digest: blake3::hash(b""),
        described_by: Default::default(),
    };
    let arena = Arena::new(&buffer_specs(&problem, 0))?;
    Reference::native(&problem, Box::new(Partial { arena, written }))?.evaluate()
}

#[test]
fn holes_are_refused_and_nan_that_was_written_is_not() {
    assert!(evaluate(4).is_ok());
    assert!(matches!(evaluate(3), Err(ReferenceError::Unwritten { output, .. }) if output == "y"));
}
