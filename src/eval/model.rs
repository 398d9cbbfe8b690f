//! The port model of the loops that the counters show to be hot.

use super::{EvalError, session::Session};
use crate::{
    builds::Builds, codegen::machine::Machine, jobs::event::Event, port_model::PortModel, store::Store,
};
use kinstr_trace::{decode::decode, report::LayerStatus, sites::SiteTable, work::Work};

/// Name of the part of a layer that the port model is.
const LAYER: &str = "intra-kernel/port-model";

/// The model of the clean build's code, or a layer that says why there is none.
pub fn open(session: &mut Session<'_>, builds: &Builds) -> Result<Option<PortModel>, EvalError> {
    let model = read(builds, &session.options.store);
    let status = match &model {
        Ok(_) => LayerStatus::Ran,
        Err(reason) => LayerStatus::Unavailable(reason.clone()),
    };
    session.push(Event::Layer { name: LAYER.into(), status })?;
    Ok(model.ok())
}

fn read(builds: &Builds, store: &Store) -> Result<PortModel, String> {
    let cpu = Machine::native().map_err(|error| error.to_string())?.cpu();
    let path = builds.assembly(&builds.manifest.clean);
    let assembly =
        std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    PortModel::new(&assembly, &cpu, store).map_err(|error| error.to_string())
}

/// Models the hottest loops of one workload, by the record file that its counting build left.
pub fn model(
    session: &mut Session<'_>,
    model: &mut PortModel,
    workload: usize,
    records: &[u8],
    sites: &SiteTable,
) -> Result<(), EvalError> {
    // Records that cannot be decoded fail their layer in the report; here they only leave nothing to model.
    let Ok(trace) = decode(records, sites) else { return Ok(()) };
    let Ok(work) = Work::of(&trace, sites) else { return Ok(()) };
    let modelled = model.model(&work);
    let (blocks, left_out) = (modelled.blocks, modelled.left_out);
    session.push(Event::HotBlocks { workload, blocks, left_out })
}
