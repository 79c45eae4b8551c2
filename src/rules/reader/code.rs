//! Codes of diagnostics. They are stable: `paramedic check --explain` and people's searches rely on them.

/// Not YAML.
pub const SYNTAX: &str = "P0101";
/// Over a limit.
pub const LIMIT: &str = "P0102";
/// A key twice in one map.
pub const DUPLICATE_KEY: &str = "P0103";
/// A value of another kind than wanted.
pub const TYPE: &str = "P0104";
/// A key that must be there.
pub const MISSING: &str = "P0105";
/// A name that cannot be one.
pub const NAME: &str = "P0106";
/// A key that is not known.
pub const UNKNOWN_KEY: &str = "P0107";
/// Two rules of one name.
pub const DUPLICATE_RULE: &str = "P0108";
/// A playbook that is not there.
pub const PLAYBOOK: &str = "P0109";
/// Not a topic pattern.
pub const TOPIC: &str = "P0110";
/// Not an expression.
pub const EXPRESSION: &str = "P0111";
/// Not a template.
pub const TEMPLATE: &str = "P0112";
/// Not a length of time.
pub const SPAN: &str = "P0113";
/// A value out of range, or not one of those allowed.
pub const VALUE: &str = "P0114";
/// A list that must not be empty.
pub const EMPTY: &str = "P0115";
/// Not a schedule.
pub const SCHEDULE: &str = "P0116";
