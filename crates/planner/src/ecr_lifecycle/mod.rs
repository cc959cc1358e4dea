//! ECR's lifecycle policies: which images of a repository expire.
//!
//! AWS: user guide, "Automate the cleanup of images by using lifecycle policies" and the pages on its parameters and
//! examples. What a policy may say is in [`policy`]; the decision is [`images_to_expire`].

mod evaluate;
mod policy;

pub use evaluate::{Expiry, Image, images_to_expire};
pub use policy::{InvalidPolicy, Policy, PolicyDocument};
