pub(super) mod budget;
pub(super) mod driver;
pub(super) mod listing;
pub(super) mod on_answer;
pub(super) mod save_timer;
pub(super) mod subscriptions;
