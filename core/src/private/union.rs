//! The functions that the expansion of a union of events calls.

/// Returns the type names of all members of a union, `N` together.
pub const fn all_names<const N: usize>(members: &[&[&'static str]]) -> [&'static str; N] {
    let mut all = [""; N];
    let mut filled = 0;
    let mut member = 0;
    while member < members.len() {
        let mut name = 0;
        while name < members[member].len() {
            all[filled] = members[member][name];
            (filled, name) = (filled + 1, name + 1);
        }
        member += 1;
    }
    all
}

/// Returns true if the two members of a union have no name in common.
pub const fn differ(these: &[&str], those: &[&str]) -> bool {
    let mut this = 0;
    while this < these.len() {
        let mut that = 0;
        while that < those.len() {
            if same(these[this].as_bytes(), those[that].as_bytes()) {
                return false;
            }
            that += 1;
        }
        this += 1;
    }
    true
}

const fn same(this: &[u8], that: &[u8]) -> bool {
    let mut at = 0;
    while at < this.len() && at < that.len() && this[at] == that[at] {
        at += 1;
    }
    at == this.len() && at == that.len()
}
