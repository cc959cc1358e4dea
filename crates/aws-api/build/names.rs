//! The model's names in Rust's spelling.

/// `taskDefinition`, `enableECSManagedTags`, `Ipv6CidrBlock` → `task_definition`, `enable_ecs_managed_tags`,
/// `ipv6_cidr_block`.
pub fn snake_case(name: &str) -> String {
    // Plurals, units and IPv4/IPv6 would be torn apart by the rule below.
    let mut name = name.to_owned();
    for (from, to) in [
        ("IPv", "Ipv"),
        ("IPs", "Ips"),
        ("ARNs", "Arns"),
        ("IDs", "Ids"),
        ("GiB", "Gib"),
        ("MiB", "Mib"),
    ] {
        name = name.replace(from, to);
    }
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            out.push('_');
            continue;
        }
        let starts_word = c.is_ascii_uppercase()
            && i > 0
            && (chars[i - 1].is_ascii_lowercase()
                || chars[i - 1].is_ascii_digit()
                || chars.get(i + 1).is_some_and(char::is_ascii_lowercase));
        if starts_word && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A field or method name; keywords become raw identifiers.
pub fn field(name: &str) -> String {
    let snake = snake_case(name);
    match snake.as_str() {
        "self" | "super" | "crate" => format!("{snake}_"),
        "as" | "async" | "await" | "box" | "break" | "const" | "continue" | "do" | "dyn"
        | "else" | "enum" | "extern" | "false" | "fn" | "for" | "if" | "impl" | "in" | "let"
        | "loop" | "match" | "mod" | "move" | "mut" | "pub" | "ref" | "return" | "static"
        | "struct" | "trait" | "true" | "try" | "type" | "unsafe" | "use" | "where" | "while"
        | "yield" | "final" | "macro" | "override" | "abstract" | "virtual" | "priv" | "gen" => {
            format!("r#{snake}")
        }
        _ => snake,
    }
}

/// The name of a type: the model's, with a capital.
pub fn type_name(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + chars.as_str(),
        None => String::new(),
    }
}

/// The name of an enumeration's or union's variant: `FARGATE_SPOT`, `non-blocking`, `fargateFIPSMode` →
/// `FargateSpot`, `NonBlocking`, `FargateFipsMode`.
pub fn variant(value: &str) -> String {
    let mut out = String::new();
    for word in value.split(|c: char| !c.is_ascii_alphanumeric()) {
        let word = match word.chars().any(|c| c.is_ascii_lowercase()) {
            true => snake_case(word),
            false => word.to_ascii_lowercase(),
        };
        for part in word.split('_') {
            out.push_str(&type_name(part));
        }
    }
    match out.chars().next() {
        None => "Empty".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("V{out}"),
        Some(_) if out == "Self" => "SelfValue".to_owned(),
        Some(_) => out,
    }
}

/// The variants of all values, made distinct where two values give the same name.
pub fn variants<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for value in values {
        let base = variant(value);
        let mut name = base.clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{base}{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}
