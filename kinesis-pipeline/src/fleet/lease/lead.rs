/// The part of a fleet that assigns leases to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetLead {
    /// Every worker takes its share by the number of leases. The default.
    #[default]
    Workers,
    /// A leader of the Java KCL 3 writes its workers' names into the leases; a worker takes those with its own.
    Leader,
    /// Java workers are alive and wait for a leader that none of them is: a worker keeps what it holds.
    Vacant,
}
