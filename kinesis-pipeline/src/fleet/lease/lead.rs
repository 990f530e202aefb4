/// The part of a fleet that assigns leases to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetLead {
    /// Each worker takes its share by the number of leases. The default.
    #[default]
    Workers,
    /// A leader of the Java KCL 3 writes workers' names into the leases. A worker takes the leases with its own name.
    Leader,
    /// Java workers are alive, but none of them leads yet. A worker keeps the leases that it holds.
    Vacant,
}
