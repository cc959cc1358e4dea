//! What came of one invocation, before the function's name is put to it.

/// The longest answer; Lambda's limit.
pub const MAX_ANSWER_BYTES: usize = 6 << 20;

#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The function has not seen the call.
    NotStarted(String),
    /// It was called, and failed.
    Failed(String),
}

/// An answer is text: hooks answer JSON.
pub fn text_of(answer: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(answer).map_err(|_| Failure::Failed("its answer is not UTF-8".to_owned()))
}

pub fn too_long() -> Failure {
    Failure::Failed(format!("its answer has more than {MAX_ANSWER_BYTES} bytes"))
}
