// What a probe costs: a thousand regions with nothing in them. What they seem to last is the part inside of a probe; what the
// loop around them lasts is what they add to the code around.
func.func @calibration() {
  %from = arith.constant 0 : index
  %to = arith.constant 1000 : index
  %step = arith.constant 1 : index
  scf.for %i = %from to %to step %step {
    %nothing = arith.constant {kinstr.region = "empty"} 0 : i32
  } {kinstr.region = "loop"}
  return
}
