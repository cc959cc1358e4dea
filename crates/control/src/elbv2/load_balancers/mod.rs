//! Load balancers.

mod attributes;
mod create;
mod delete;
mod describe;
mod modify;
mod placement;
mod view;

pub use attributes::{describe as describe_attributes, modify as modify_attributes};
pub use create::create;
pub use delete::delete;
pub use describe::{capacity, describe};
pub use modify::{set_ip_address_type, set_security_groups, set_subnets};
