"""What our own functions are measured against: floors and peers, which import nothing of ours and stay as they are."""
