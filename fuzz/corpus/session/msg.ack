agent
{"v":1,"t":"ack","to":"a:0G3T7QX2M9KDWZ5R8Y1V4BNCHE","from":"b:farm-berlin","body":{"epoch":3,"seq":1290}}