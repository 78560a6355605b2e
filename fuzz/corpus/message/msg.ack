ack
{"epoch":3,"seq":1290}